import type { ServerSentEvent } from "@sse/protocol";
import type { LagPolicy, StreamRequest } from "../src/index.ts";
import type { Connection } from "./connection.ts";
import type { Asked } from "./oracle/beginning.ts";
import { Ledger } from "./oracle/ledger.ts";
import type { Selection } from "./oracle/selection.ts";
import type { Line, Owner } from "./scheduler.ts";
import type { RunContext } from "./run-context.ts";

/** How a node answers a request for a stream. */
export type Answer = "204" | "refused";

/**
 * A browser's EventSource: keeps the id of the last event that was dispatched, waits for its reconnection time whenever the
 * connection ends, comes back with the id, and never again after 204.
 */
export class SimulatedClient implements Owner {
  readonly name: string;
  isGone = false;
  readonly lag: LagPolicy;
  readonly replay: number;
  readonly address: string;
  readonly envelope: StreamRequest["envelope"];
  readonly control: "event" | "comment";
  readonly ledger: Ledger;
  lastEventId = "";
  /** Whether it has its id from what it was sent last, and not from elsewhere. */
  #isOwn = true;
  /** Ids that it had before: a page that was put back has one of them. */
  readonly #earlier: string[] = [];
  #retry: number;
  connection: Connection | null = null;
  #request = new AbortController();
  /** What it is doing besides. */
  state: "waiting" | "asking" | "open" | "over" = "waiting";
  readonly #run: RunContext;
  readonly #timers: Line;
  /** Connects to one of the nodes. */
  readonly #connect: (client: SimulatedClient) => void;
  #cancelRetry = (): void => {};

  constructor(
    name: string,
    selection: Selection,
    how: Pick<SimulatedClient, "lag" | "replay" | "address" | "envelope" | "control">,
    run: RunContext,
    connect: (client: SimulatedClient) => void,
  ) {
    this.name = name;
    this.lag = how.lag;
    this.replay = how.replay;
    this.address = how.address;
    this.envelope = how.envelope;
    this.control = how.control;
    this.ledger = new Ledger(name, selection, run.chronicle, run.verdict, how.envelope !== undefined);
    this.#run = run;
    this.#timers = run.scheduler.line();
    this.#connect = connect;
    this.#retry = run.config.hub.retry;
  }

  /** Of its request: aborted when it goes before there is a response. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }

  connect(): void {
    this.#cancelRetry();
    this.state = "asking";
    this.#request = new AbortController();
    this.#connect(this);
  }

  /** The request is on its way, and the log is asked about this. */
  asked(asked: Asked): void {
    this.ledger.connect(asked, this.#isOwn);
    this.#isOwn = true;
  }

  /** The response begins. */
  opened(connection: Connection): void {
    this.connection = connection;
    this.state = "open";
  }

  see(event: ServerSentEvent): void {
    const { trace } = this.#run;
    trace.note(" sees", this.name, event.type, event.lastEventId, event.data.length);
    if (event.type === "sse:ready" && event.data.includes('"resumed"')) this.#run.counts.resumes++;
    this.ledger.see(event);
    if (event.lastEventId !== this.lastEventId && this.lastEventId !== "")
      this.#earlier.push(this.lastEventId);
    this.lastEventId = event.lastEventId;
  }

  setRetry(milliseconds: number): void {
    this.#retry = milliseconds;
  }

  answered(answer: Answer): void {
    this.#run.trace.note(" answered", this.name, answer);
    if (answer === "204") this.state = "over";
    else this.#wait();
  }

  /** @param isWhole nothing was lost on the way */
  disconnected(connection: Connection, isWhole: boolean): void {
    if (this.connection !== connection) return;
    this.#run.trace.note(" disconnected", this.name);
    if (isWhole) this.ledger.end(connection.reason);
    this.connection = null;
    this.#wait();
  }

  #wait(): void {
    this.state = "waiting";
    this.#cancelRetry();
    this.#cancelRetry = this.#run.scheduler.after(this.#retry, "reconnect", this, this.#timers, () => {
      if (this.state === "waiting") this.connect();
    });
  }

  /** The connection is lost. */
  cut(): void {
    const { connection } = this;
    if (connection === null) return;
    connection.cut();
    this.connection = null;
    this.#wait();
  }

  /** Its page is loaded anew: it knows nothing, or what it knew once. */
  reload(isOlder: boolean): void {
    this.cut();
    if (this.state === "asking") return; // its request is on its way
    this.#isOwn = false;
    this.lastEventId = isOlder && this.#earlier.length > 0 ? this.#run.random.pick(this.#earlier) : "";
    this.connect();
  }

  /** It comes with something that never was an id. */
  forge(): void {
    this.cut();
    if (this.state === "asking") return;
    const { random, chronicle } = this.#run;
    this.#isOwn = false;
    const epoch = random.pick([...chronicle.epochs.keys()]);
    this.lastEventId = random.pick(["x", `${epoch}-`, `${epoch}-999999`, "0000000000-3", `${epoch}-01`]);
    this.connect();
  }

  leave(): void {
    this.cut();
    if (this.state === "asking" && this.#run.random.chance(0.7)) this.#request.abort();
    this.isGone = true;
    this.#cancelRetry();
  }
}
