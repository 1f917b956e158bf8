import { describe, expect, test } from "bun:test";
import { createDecoder, type Decoder } from "@sse/protocol";
import fc from "fast-check";
import { asyncLog } from "../test/async-log.ts";
import { newEvent } from "./testing/log-contract.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { MortalLog } from "../test/mortal-log.ts";
import {
  createHub,
  type Hub,
  type HubEvent,
  type LagPolicy,
  MemoryLog,
  parseEventId,
  parseTopic,
  RecordingSink,
  SelectorSet,
  type Stream,
  toServerSentEvent,
} from "./index.ts";

/*
 * Any mix of publish, subscribe, stall, release, drop, resume, evict, end, restart and reset must end with every client having
 * seen exactly the log's order minus the gaps that it was told of.
 */

interface Published {
  id: string;
  topic: string;
  key: string;
  data: string;
  end: boolean;
}

/** A browser: it remembers the last event id, and what it saw, over its connections. */
class Client {
  readonly selectors: SelectorSet;
  readonly seen: { type: string; data: string; id: string }[] = [];
  lastEventId = "";
  sink: RecordingSink | null = null;
  stream: Stream | null = null;
  over = false;
  #read = 0;
  #decoder: Decoder | null = null;
  readonly topics: string[];
  readonly lag: LagPolicy;
  readonly replay: "all" | number | undefined;

  constructor(topics: string[], lag: LagPolicy, replay: "all" | number | undefined) {
    this.topics = topics;
    this.lag = lag;
    this.replay = replay;
    this.selectors = new SelectorSet(topics);
  }

  async connect(hub: Hub, clock: ManualClock): Promise<void> {
    if (this.over || (this.stream !== null && this.stream.state !== "closed")) return;
    this.read(Infinity);
    const { topics, lag, replay, lastEventId } = this;
    const opened = hub.open({ topics, lag, replay, lastEventId });
    if (opened instanceof Promise) await clock.settle();
    const opening = await opened;
    if (opening.over) {
      this.over = true;
      return;
    }
    this.sink = new RecordingSink();
    this.#read = 0;
    this.#decoder = createDecoder({
      lastEventId,
      onEvent: ({ type, data, lastEventId: id }) => {
        this.lastEventId = id;
        this.seen.push({ type, data, id });
      },
    });
    this.stream = opening.attach(this.sink);
  }

  /** Takes so many of the bytes that are on the way. */
  read(bytes: number): void {
    for (let left = bytes; left > 0 && this.sink !== null && this.#read < this.sink.frames.length;) {
      const frame = this.sink.frames[this.#read]!;
      this.#decoder!.feed(frame.subarray(0, left));
      if (left < frame.byteLength) return; // the rest is lost: the connection is cut within this frame
      left -= frame.byteLength;
      this.#read++;
    }
  }

  stall(): void {
    this.sink?.stall();
  }

  release(): void {
    this.sink?.release();
  }

  /** Cut off after some of the bytes that are on the way; the hub learns of it at once, or when it writes. */
  drop(bytes: number, told: boolean): void {
    this.read(bytes);
    this.sink?.vanish();
    if (told) this.stream?.gone();
    else if (this.stream?.state === "blocked") this.stream.gone(); // as a socket's pending write would
    this.sink = null;
    this.stream = null;
  }
}

/** One that takes events one by one, and remembers the last that it took. */
class IteratingClient extends Client {
  #events: AsyncIterator<HubEvent> | null = null;
  #isStalled = false;
  #isAsking = false;

  override async connect(hub: Hub): Promise<void> {
    if (this.over || this.#events !== null) return;
    const { topics, lag, replay, lastEventId } = this;
    this.#events = hub.iterate({ topics, lag, replay, lastEventId, highWaterMark: 100 });
    void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    let isFirst = true;
    for (let events = this.#events; events !== null && !this.#isStalled; events = this.#events) {
      const closed: IteratorResult<HubEvent> = { done: true, value: undefined };
      const { done, value } = await events.next().catch(() => ((isFirst = false), closed)); // the hub has closed
      if (events !== this.#events) isFirst = true;
      else if (done === true) {
        this.over = isFirst; // it has had everything
        this.#events = null;
      } else {
        isFirst = false;
        const { id, event = "message", data } = toServerSentEvent(value);
        if (id === "") continue; // sent away before the log has said where it begins
        this.lastEventId = id;
        this.seen.push({ type: event, data, id });
      }
    }
    this.#isAsking = false;
  }

  override read(): void {}

  override stall(): void {
    this.#isStalled = true;
  }

  override release(): void {
    this.#isStalled = false;
    void this.#ask();
  }

  override drop(): void {
    void this.#events?.return!();
    this.#events = null;
  }
}

const SELECTORS = [["a"], ["b"], ["a", "b"], ["a/*"], ["**"], ["a/**", "b"], ["*", "a"], ["a/b"]];
const index = (below: number) => fc.nat(below - 1);
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish"),
      topic: index(4),
      key: index(3),
      many: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("turn") }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("connect"), client: index(8) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stall"), client: index(8) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release"), client: index(8) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("drop"),
      client: index(8),
      bytes: fc.nat(2000),
      told: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("settle") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait"), time: fc.nat(20_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end"), topic: index(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reset"), many: fc.nat(3) }) },
);
type Action = {
  do: string;
  topic?: number;
  key?: number;
  many?: number;
  client?: number;
  bytes?: number;
  told?: boolean;
  time?: number;
};

const TOPICS = ["a", "b", "a/b", "a/b/c"];
const scenario = fc.record({
  selectors: fc.shuffledSubarray(SELECTORS, { minLength: 1, maxLength: 3 }),
  clients: fc.array(
    fc.record({
      topics: index(3),
      lag: fc.constantFrom<LagPolicy>("catch-up", "latest", "disconnect"),
      replay: fc.constantFrom<("all" | number | undefined)[]>("all", 2, undefined),
      iterates: fc.boolean(),
    }),
    { minLength: 8, maxLength: 8 },
  ),
  actions: fc.array(action as fc.Arbitrary<Action>, { minLength: 1, maxLength: 120 }),
  maxEvents: fc.constantFrom(3, 8, 1000),
  maxFrameBytes: fc.constantFrom(1, 150, 65_536),
  writesPerTurn: fc.constantFrom(1, 2, 5, 2048),
  late: fc.boolean(),
  allAtOnce: fc.boolean(),
  seed: fc.nat(),
});

async function play({
  selectors,
  clients: specs,
  actions,
  maxEvents,
  maxFrameBytes,
  writesPerTurn,
  late,
  allAtOnce,
  seed,
}: typeof scenario extends fc.Arbitrary<infer T> ? T : never) {
  const clock = new ManualClock();
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const log: Published[] = [];
  const epochs: string[] = [];
  let counter = 0;
  let life: MortalLog;
  const newStore = (): MemoryLog => {
    const memory = new MemoryLog({ maxEvents, clock, random });
    epochs.push(memory.bounds().epoch);
    return memory;
  };
  const open = (): Hub => {
    life = new MortalLog(newStore());
    const used = late ? asyncLog(life, () => Math.floor(random() * 6)) : life;
    return createHub({ log: used, maxFrameBytes, writesPerTurn, clock, random });
  };
  let hub = open();
  let errors = 0;
  const clients = specs.map(
    ({ topics, lag, replay, iterates }) =>
      new (iterates ? IteratingClient : Client)(selectors[topics % selectors.length]!, lag, replay),
  );

  const publish = (topic: string, key: string, end: boolean): void => {
    const data = end ? JSON.stringify({ topic }) : `event ${counter++}`;
    void hub
      .publish(topic, end ? { end } : { data, key })
      .then((id) => log.push({ id, topic, key: end ? "" : key, data, end }));
  };

  if (allAtOnce) for (const client of clients) await client.connect(hub, clock);
  for (const step of actions) {
    const client = clients[step.client ?? 0]!;
    if (step.do === "publish") {
      for (let i = 0; i < step.many!; i++) publish(TOPICS[step.topic!]!, `k${step.key}`, false);
    } else if (step.do === "end") publish(TOPICS[step.topic!]!, "", true);
    else if (step.do === "turn") {
      clock.turn();
      await Promise.resolve();
    } else if (step.do === "settle") await clock.settle();
    else if (step.do === "wait") await clock.advance(step.time!);
    else if (step.do === "connect") await client.connect(hub, clock);
    else if (step.do === "stall") client.stall();
    else if (step.do === "release") client.release();
    else if (step.do === "drop") client.drop(step.bytes!, step.told!);
    else if (step.do === "reset") {
      const store = newStore();
      for (let i = 0; i < step.many!; i++) {
        // What other publishers had put there before.
        const event = newEvent(TOPICS[i]!, `event ${counter++}`);
        const [id] = store.append([event]);
        log.push({ id: id!, ...event });
      }
      life!.reset(store);
    } else {
      const closed = hub.close();
      await clock.settle();
      await closed;
      errors += hub.stats().closes.error;
      hub = open();
    }
  }
  // The end: everybody reads, and comes back until there is nothing more.
  for (let round = 0; round < 6; round++) {
    for (const client of clients) {
      client.release();
      await clock.settle();
      client.read(Infinity);
      await client.connect(hub, clock);
    }
    await clock.settle();
  }
  for (const client of clients) client.read(Infinity);
  expect(hub.stats().blocked).toBe(0);
  expect(errors + hub.stats().closes.error).toBe(0);
  log.sort((a, b) => rankOf(a.id, epochs) - rankOf(b.id, epochs));
  return { clients, log, epochs };
}

/** An id's place in all lives of the log. */
function rankOf(id: string, epochs: readonly string[]): number {
  const { epoch, cursor } = parseEventId(id)!;
  return epochs.indexOf(epoch) * 1e6 + cursor;
}

/** Checks one client against the model: the list of what was published. */
function check(client: Client, log: readonly Published[], epochs: readonly string[]): void {
  const rank = (id: string): number => rankOf(id, epochs);
  const first = client.seen[0];
  if (first === undefined) return;
  // An iterator may be sent away before it asks for its first event: then that says where it would have begun.
  expect(first.type).toMatch(/^sse:(ready|closing)$/);
  const wanted = log.filter(({ topic }) => client.selectors.matches(parseTopic(topic)));
  const covered: [number, number][] = [];
  const got: { id: string; data: string; type: string }[] = [];
  let last = first.id;
  const start = rank(first.id);
  for (const event of client.seen) {
    // No id ever moves a client backwards.
    expect(rank(event.id)).toBeGreaterThanOrEqual(rank(last));
    if (event.type === "sse:ready") {
      // Tells the same as the gap that follows it, should the connection be cut between them.
      if (event.data.includes('"reset"')) covered.push([rank(last), rank(event.id)]);
    }
    if (event.type === "sse:gap") {
      const { from, to } = JSON.parse(event.data) as { from: string; to: string };
      expect(event.id).toBe(to);
      covered.push([rank(from), rank(to)]);
    }
    if (!event.type.startsWith("sse:") || (event.type === "sse:end" && event.id !== last)) {
      expect(rank(event.id)).toBeGreaterThan(rank(last));
      got.push(event);
    }
    last = event.id;
  }
  // In order, once, nothing else.
  const places = got.map(({ id, data }) => wanted.findIndex((each) => each.id === id && each.data === data));
  for (const [at, place] of places.entries()) {
    expect(place).toBeGreaterThan(at === 0 ? -1 : places[at - 1]!);
  }
  // No silent hole.
  const seenIds = new Set(got.map(({ id }) => id));
  for (const { id, data } of wanted) {
    const place = rank(id);
    if (seenIds.has(id) || place <= start || covered.some(([from, to]) => place > from && place <= to))
      continue;
    if (client.over) continue; // published after the topics had ended, and the client was told to stay away
    throw new Error(`${id} (${data}) is missing in silence: ${JSON.stringify(client.seen)}`);
  }
}

describe("model", () => {
  test("every client sees the log's order, once, minus the gaps it was told of", async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (given) => {
        const { clients, log, epochs } = await play(given);
        for (const client of clients) check(client, log, epochs);
      }),
      {
        numRuns: Number(process.env.MODEL_RUNS ?? 1500),
        ...(process.env.MODEL_SEED ? { seed: Number(process.env.MODEL_SEED) } : {}),
      },
    );
  });
});
