import { drainMicrotasks } from "./microtasks.ts";
import { SimulatedClient } from "./client.ts";
import type { StepKind } from "./config.ts";
import { SimulatedNode } from "./node.ts";
import { Registry } from "./oracle/registry.ts";
import { Selection } from "./oracle/selection.ts";
import { Publishers } from "./publisher.ts";
import type { RunContext } from "./run-context.ts";
import type { Owner } from "./scheduler.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** In all jumps of a run together: ends of topics are known for seven days. */
const LONGEST = 5 * 24 * 3_600_000;

/** Nodes, clients and publishers around one store, and what can happen to them. */
export class World implements Owner {
  readonly name = "world";
  isGone = false;
  readonly run: RunContext;
  readonly store: StoreUnderTest;
  readonly registry: Registry;
  readonly publishers: Publishers;
  /** By place; null: it is down, and is started again later. */
  readonly nodes: (SimulatedNode | null)[] = [];
  readonly clients: SimulatedClient[] = [];
  #clients = 0;
  #starts = 0;
  readonly #kinds: readonly StepKind[];
  readonly #totals: readonly number[];

  constructor(run: RunContext, createStore: (run: RunContext, registry: Registry) => StoreUnderTest) {
    this.run = run;
    this.registry = new Registry(run.chronicle, run.verdict);
    this.registry.isOrdered = !run.config.hasSlowSchemas;
    this.publishers = new Publishers(run, this.registry);
    this.store = createStore(run, this.registry);
    const weights = Object.entries(run.config.weights).filter(([, weight]) => weight > 0);
    this.#kinds = weights.map(([kind]) => kind as StepKind);
    let total = 0;
    this.#totals = weights.map(([, weight]) => (total += weight));
    for (let place = 0; place < run.config.nodes; place++) this.#start(place);
  }

  #start(place: number): void {
    const node = new SimulatedNode(`n${this.#starts++}`, this.run, this.store, () => {
      if (this.nodes[place] !== node) return;
      this.nodes[place] = null;
      const { scheduler, random, config } = this.run;
      // A machine that comes up again can have another time of day.
      if (config.weights.clock > 0 && random.chance(0.3)) this.run.date -= 3_600_000;
      scheduler.after(random.below(2000), "start", this, scheduler.line(), () => this.#start(place));
    });
    this.nodes[place] = node;
    this.run.trace.note(" start", node.name);
    node.start();
  }

  /** One thing happens: something that was waiting to, or something new. */
  step(): void {
    const { random, scheduler, config, trace, counts } = this.run;
    counts.steps++;
    if (scheduler.ready.length > 0 && random.chance(config.eagerness)) this.runTask();
    else {
      const kind = this.#pick();
      trace.note(kind);
      this.#do(kind);
      this.#settle();
    }
    if (scheduler.ready.length === 0) this.checkProgress();
  }

  /** One thing that waited to happen. False: there was none. */
  runTask(): boolean {
    const task = this.run.scheduler.runOne(this.run.random);
    if (task === null) return false;
    this.run.trace.note(task.kind, task.owner);
    this.#settle();
    return true;
  }

  /** Promises have their turn, and the log is looked at. */
  #settle(): void {
    drainMicrotasks();
    this.store.check();
  }

  #pick(): StepKind {
    const drawn = this.run.random.next() * this.#totals.at(-1)!;
    return this.#kinds[this.#totals.findIndex((total) => drawn < total)]!;
  }

  #do(kind: StepKind): void {
    const { random, scheduler } = this.run;
    const node = random.pick(this.nodes);
    const client = this.clients.length === 0 ? null : random.pick(this.clients);
    switch (kind) {
      case "publish":
        return node === null ? undefined : this.publishers.publish(node);
      case "repeat":
        return node === null ? undefined : this.publishers.repeat(node);
      case "connect":
        return this.#connect(client);
      case "leave":
        return client === null ? undefined : this.leave(client);
      case "renew":
        return random.chance(0.3) ? client?.forge() : client?.reload(false);
      case "come back older":
        return client?.reload(true);
      case "cut":
        return client?.cut();
      case "stall":
        return client?.connection?.stall();
      case "go on":
        return client?.connection?.goOn();
      case "time":
        return scheduler.advance(
          random.chance(0.7)
            ? Math.min(scheduler.nextDue, scheduler.now + 5000)
            : scheduler.now + random.below(500),
        );
      case "jump":
        if (scheduler.now < LONGEST)
          scheduler.advance(scheduler.now + random.pick([5000, 40_000, 4_000_000]));
        return undefined;
      case "clock":
        this.run.date += random.pick([-3_600_000, -1000, 1000, 3_600_000]);
        return undefined;
      case "settle":
        for (let left = random.below(30); left > 0 && this.runTask(); left--);
        return undefined;
      case "drain":
        node?.hub?.drain({ within: random.pick([0, 50, 3000]) });
        return undefined;
      case "restart":
        return node !== null && this.store.maySpare(node) ? node.close(random.pick([0, 0, 300])) : undefined;
      case "crash":
        return node !== null && node.hub !== null && this.store.maySpare(node) ? node.crash() : undefined;
      case "store":
        return this.store.disturb();
    }
  }

  /** A new client, or one that waits no longer. */
  #connect(client: SimulatedClient | null): void {
    const { random, config } = this.run;
    if (this.clients.length >= config.clients) {
      if (client?.state === "waiting") client.connect();
      return;
    }
    const created = new SimulatedClient(
      `c${this.#clients++}`,
      new Selection(random.pick(config.selections)),
      {
        lag: random.pick(config.lags),
        replay: random.pick([0, 0, 1, 3, Infinity, Infinity]),
        address: random.pick(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        envelope: this.#oneOf(config.envelopes),
        control: this.#oneOf(config.controls),
      },
      this.run,
      (each) => this.#request(each),
    );
    this.clients.push(created);
    created.connect();
  }

  /** Draws nothing where there is no choice: a run goes as it would without it. */
  #oneOf<Choice>(choices: readonly Choice[]): Choice {
    return choices.length === 1 ? choices[0]! : this.run.random.pick(choices);
  }

  /** To any of the nodes. */
  #request(client: SimulatedClient): void {
    const place = this.run.random.below(this.nodes.length);
    this.run.scheduler.post("request", client, () => {
      const node = this.nodes[place];
      if (node == null) client.answered("refused");
      else node.accept(client);
    });
  }

  leave(client: SimulatedClient): void {
    client.leave();
    this.clients.splice(this.clients.indexOf(client), 1);
  }

  /** Nothing is under way: then nobody who takes what is written waits for anything. */
  checkProgress(): void {
    if (!this.store.isPrompt) return;
    for (const client of this.clients) {
      const wrong = this.waitsInVain(client);
      if (wrong !== null) this.run.verdict.wrong("progress", `${client.name} ${wrong}`);
    }
  }

  /** What an open stream waits for, with nothing under way that would bring it; null: for nothing. */
  waitsInVain(client: SimulatedClient): string | null {
    const { connection, ledger } = client;
    if (connection === null || connection.isStalled || !connection.isOpen || !ledger.isReady) return null;
    const { node } = connection;
    if (node.isGone || node.isClosing || !this.store.isWell(node)) return null;
    const { epoch: name, last } = node.log!.bounds();
    const epoch = this.run.chronicle.epochs.get(name)!;
    const owed = ledger.owed(epoch, last);
    if (owed !== undefined) return `waits for ${epoch.id(owed.seq)} of ${owed.topic} for ever`;
    return ledger.isOver(epoch, last) ? "is open, though all its topics have ended" : null;
  }
}
