import {
  type CloseReason,
  createHub,
  type EventLog,
  type Hub,
  HubError,
  type MaybePromise,
  type Opening,
  parseEventId,
  type StoredEvent,
  type Stream,
} from "../src/index.ts";
import type { SimulatedClient } from "./client.ts";
import { Connection } from "./connection.ts";
import type { Asked } from "./oracle/beginning.ts";
import type { Publishing } from "./oracle/registry.ts";
import type { Owner } from "./scheduler.ts";
import { slowSchemas } from "./slow-schemas.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import type { RunContext } from "./run-context.ts";

/** One process with a hub: begins, answers clients, and ends, gracefully or not. The next one in its place is another. */
export class SimulatedNode implements Owner, Publishing {
  readonly name: string;
  isGone = false;
  readonly clock: SimulatedClock;
  readonly #run: RunContext;
  readonly #store: StoreUnderTest;
  hub: Hub | null = null;
  log: EventLog | null = null;
  isClosing = false;
  isClosed = false;
  readonly connections = new Set<Connection>();
  /** Those who have no answer yet. */
  readonly #asking = new Set<SimulatedClient>();
  /** The last event that it knows that the log has, in this epoch: the tail has brought it, or its publisher was answered. */
  lastKnown = 0;
  /** How often the log has changed otherwise than by new events. */
  #changes = 0;
  /** What the store had taken when this began. */
  #takenBefore = 0;
  attempts = 0;
  readonly acknowledged: Publishing["acknowledged"] = [];
  readonly onStopped: () => void;

  constructor(name: string, run: RunContext, store: StoreUnderTest, onStopped: () => void) {
    this.name = name;
    this.#run = run;
    this.#store = store;
    this.onStopped = onStopped;
    this.clock = new SimulatedClock(run.scheduler, this, run.random.below(100_000), run.config.turnSteps);
  }

  /** It has told a publisher that these are kept. */
  answered(ids: readonly string[]): void {
    for (const id of ids) {
      const { epoch, cursor } = parseEventId(id)!;
      if (epoch === this.log?.bounds().epoch) this.lastKnown = Math.max(this.lastKnown, cursor);
    }
  }

  start(): void {
    let log: MaybePromise<EventLog>;
    try {
      log = this.#store.open(this);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (!(log instanceof Promise)) this.#begin(log);
    else
      log.then(
        (opened) => this.#begin(opened),
        (error: unknown) => this.#failed(error),
      );
  }

  #failed(error: unknown): void {
    this.#run.trace.note(" cannot start", this.name, error instanceof HubError ? error.code : String(error));
    if (!(error instanceof HubError))
      this.#run.verdict.wrong("crash", `${this.name} cannot start: ${String(error)}`);
    this.isGone = true;
    this.onStopped();
  }

  #begin(log: EventLog): void {
    if (this.isGone) return;
    const { config, random, scheduler } = this.#run;
    // What users do in callbacks, and should not.
    const mayThrow = (): void => {
      if (!random.chance(config.throws)) return;
      if (this.hub !== null && random.chance(0.1)) this.hub.drain({ within: 0 });
      if (random.chance(0.5)) throw new Error("a callback that throws");
    };
    this.log = log;
    this.#takenBefore = this.#run.chronicle.accepted;
    const changed = (): void => {
      this.#changes++;
      this.lastKnown = 0;
    };
    const read = (entries: readonly StoredEvent[]): void => {
      this.lastKnown = Math.max(this.lastKnown, entries.at(-1)!.seq);
    };
    log.tail({ append: read, reset: changed, skip: changed });
    this.hub = createHub({
      ...config.hub,
      log,
      clock: this.clock,
      random: random.next,
      returnWindow: config.hub.retry,
      schemas: config.hasSlowSchemas ? slowSchemas(scheduler, this) : null,
      observer: { committed: mayThrow, fannedOut: mayThrow },
      onClose: (stream, reason) => {
        this.#closed(stream, reason);
        mayThrow();
      },
      onError: mayThrow,
    }) as Hub;
  }

  #closed({ sink }: Stream, reason: CloseReason): void {
    const connection = sink as Connection;
    this.connections.delete(connection);
    connection.reason = reason;
    this.#run.trace.note(" closed", connection.client.name, reason);
    const { writeDeadline } = this.#run.config.hub;
    const { verdict } = this.#run;
    const who = connection.client.name;
    // Who wants to be disconnected when it lags is: and the word to it can be what blocks.
    if (reason !== "slow" || connection.client.lag === "disconnect") return;
    if (!connection.isBlocked) verdict.wrong("deadline", `${who}: slow, though it takes what is written`);
    const since = this.clock.now() - connection.blockedSince;
    if (since < (writeDeadline ?? Infinity)) verdict.wrong("deadline", `${who}: slow after ${since} ms`);
  }

  /** A request for a stream has come. */
  accept(client: SimulatedClient): void {
    const { hub, log } = this;
    const { random, chronicle, counts, trace } = this.#run;
    trace.note(" request", client.name, this.name, client.lastEventId);
    const refuse = (): void => this.#respond(client, "refused");
    if (hub === null || log === null) {
      refuse();
      return;
    }
    this.#asking.add(client);
    const bounds = log.bounds();
    const epoch = chronicle.epochs.get(bounds.epoch)!;
    const stored = chronicle.current === epoch ? epoch.last : bounds.last;
    const { lastEventId, replay, lag, envelope, control } = client;
    const { last } = bounds;
    const changes = this.#changes;
    const isMoved = (): boolean => this.#changes !== changes;
    const asked: Asked = { lastEventId, replay, lag, epoch, last, stored, answered: last, isMoved };
    client.asked(asked);
    const request = {
      topics: client.ledger.selection.words,
      lastEventId,
      replay: replay === Infinity ? ("all" as const) : replay,
      lag,
      envelope,
      control,
      address: client.address,
      ...(random.chance(0.03) && { expiresIn: 1 + random.below(5000) }),
      signal: client.signal,
    };
    const failed = (error: unknown): void => {
      if (this.isGone) return;
      trace.note(" not opened", client.name, error instanceof HubError ? error.code : String(error));
      this.#checkRefusal(error);
      refuse();
    };
    const opened = (opening: Opening): void => {
      if (this.isGone) return;
      counts.connects++;
      if (!isMoved()) asked.answered = log.bounds().last;
      this.#answer(client, opening);
    };
    try {
      const opening = hub.open(request);
      this.#checkQuotas();
      if (opening instanceof Promise) opening.then(opened, failed);
      else opened(opening);
    } catch (error) {
      failed(error);
    }
  }

  #respond(client: SimulatedClient, answer: "204" | "refused"): void {
    this.#asking.delete(client);
    this.#run.scheduler.post(answer, client, () => client.answered(answer));
  }

  #checkQuotas(): void {
    const { verdict, config } = this.#run;
    const { maxStreams, maxStreamsPerAddress } = config.hub;
    const { streams } = this.hub!.stats();
    if (streams > (maxStreams ?? Infinity))
      verdict.wrong("quota", `${this.name} has ${streams} streams, of at most ${maxStreams}`);
    const most = Math.max(0, ...this.#byAddress().values());
    if (most > (maxStreamsPerAddress ?? Infinity))
      verdict.wrong(
        "quota",
        `${this.name} has ${most} streams of an address, of at most ${maxStreamsPerAddress}`,
      );
  }

  /** Streams that have a sink. */
  #byAddress(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { client } of this.connections)
      counts.set(client.address, (counts.get(client.address) ?? 0) + 1);
    return counts;
  }

  #checkRefusal(error: unknown): void {
    const { verdict, config } = this.#run;
    if (!(error instanceof HubError)) {
      verdict.wrong("crash", `a stream is refused with ${String(error)}`);
      return;
    }
    if (error.code !== "too-many-streams") return;
    const { streams } = this.hub!.stats();
    verdict.holds(
      streams >= (config.hub.maxStreams ?? Infinity),
      "quota",
      () => `${this.name} refuses a stream when it has ${streams}`,
    );
  }

  #answer(client: SimulatedClient, opening: Opening): void {
    const { scheduler, random, verdict } = this.#run;
    const { epoch, last, stored, answered, isMoved } = client.ledger.asked!;
    // Also by what the store had taken, and was to come: its publisher can know of it.
    const isOver = client.ledger.isOver(epoch, stored);
    const isCertain = !isMoved() && epoch.isWhole(Infinity);
    // A store can know of events to come that its node has yet to see.
    const isKnown = !this.#run.chronicle.isShared || client.lastEventId.startsWith(`${epoch.name}-`);
    const mustBeOver = isOver && isKnown && last === answered && client.ledger.isOver(epoch, epoch.last);
    if (isCertain && (opening.over ? !isOver : mustBeOver))
      verdict.wrong(
        "over",
        `${client.name} is ${opening.over ? "" : "not "}told 204 after ${client.lastEventId}`,
      );
    if (opening.over) {
      this.#respond(client, "204");
      return;
    }
    if (random.chance(0.03)) {
      opening.cancel(); // a HEAD, or an error on the way
      this.#respond(client, "refused");
    } else if (random.chance(0.01))
      this.#respond(client, "refused"); // it is never attached
    else if (random.chance(0.7)) this.#attach(client, opening);
    else scheduler.post("attach", this, () => this.#attach(client, opening));
  }

  #attach(client: SimulatedClient, opening: Opening): void {
    if (client.isGone && this.#run.random.chance(0.5)) {
      opening.cancel();
      return;
    }
    this.#asking.delete(client);
    const connection = new Connection(client, this, this.#run);
    this.connections.add(connection);
    client.opened(connection);
    if (client.isGone) connection.cut();
    connection.attached(opening.attach(connection));
  }

  /** Stops it gracefully. */
  close(within: number): void {
    const { hub } = this;
    if (hub === null || this.isClosing) return;
    this.isClosing = true;
    hub.close({ within }).then(
      () => {
        this.isClosed = true;
        this.#checkLeftovers();
        // What it has still to do is nothing that anybody waits for.
        this.#run.scheduler.post("exit", this, () => {
          if (!this.#run.isLeaving) this.#stopped("closed");
        });
      },
      (error: unknown) => this.#run.verdict.wrong("crash", `${this.name} cannot close: ${String(error)}`),
    );
  }

  /** It is killed. */
  crash(): void {
    this.#stopped("crashed");
  }

  #stopped(how: "crashed" | "closed"): void {
    if (this.isGone) return;
    this.#run.trace.note(" stopped", this.name, how);
    this.isGone = true;
    for (const connection of this.connections) connection.die();
    for (const client of this.#asking) this.#respond(client, "refused");
    this.#store.stopped(this, how);
    this.onStopped();
  }

  /** Nothing is left of a hub that has closed. */
  #checkLeftovers(): void {
    const { verdict, config, chronicle } = this.#run;
    const { streams, cohorts, addresses, blocked, catchingUp, published } = this.hub!.stats();
    const left = { streams, cohorts, addresses, blocked, catchingUp, connections: this.connections.size };
    if (Object.values(left).some((count) => count > 0))
      verdict.wrong("leak", `${this.name} is closed, and has ${JSON.stringify(left)}`);
    if (config.log === "broker" || config.isLate) return; // others publish, and stores change in between
    const taken = chronicle.accepted - this.#takenBefore;
    verdict.holds(
      published === taken,
      "counters",
      () => `${this.name} has counted ${published} events, and the log took ${taken}`,
    );
  }
}
