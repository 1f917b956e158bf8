import { describe, expect, test } from "bun:test";
import { connect, dataOf, decode } from "../test/client.ts";
import { createHub, type HubOptions, MemoryLog, type Opening, RecordingSink, type Stream } from "./index.ts";
import { newEvent } from "./testing/log-contract.ts";
import { ManualClock } from "./testing/manual-clock.ts";

/* What is called by the hub and calls it back: sinks, callbacks, listeners to the log. */

function setUp(options: HubOptions = {}) {
  const clock = new ManualClock();
  const closed: string[] = [];
  const hub = createHub({
    clock,
    random: () => 0.5,
    onClose: (_, reason) => closed.push(reason),
    ...options,
  });
  return { clock, hub, closed };
}

/** Turns of the event loop, in a number that also a hub without rest comes to the end of. */
async function turns(clock: ManualClock): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    clock.turn();
    for (let i = 0; i < 8; i++) await Promise.resolve();
  }
}

/** Calls back within one of its writes, after it has taken the frame. */
class CallingSink extends RecordingSink {
  /** Calls within the write of this number, from 1 on. */
  at = Infinity;
  /** What the write that called back answers; null: as ever. */
  answer: (() => Promise<unknown>) | null = null;
  writes = 0;
  readonly #call: () => void;
  #isWriting = false;

  constructor(call: () => void) {
    super();
    this.#call = call;
  }

  override write(frame: Uint8Array): number | Promise<unknown> {
    if (this.#isWriting) throw new Error("written to within a write");
    const result = super.write(frame);
    if (++this.writes !== this.at) return result;
    this.#isWriting = true;
    this.#call();
    this.#isWriting = false;
    return this.answer?.() ?? result;
  }
}

describe("within a write of its sink", () => {
  const answers = [null, () => Promise.resolve(), () => Promise.reject(new Error("reset by peer"))];
  const whens = [
    [2, "catching up"],
    [4, "live"],
    [5, "a heartbeat"],
  ] as const;

  describe.each(whens)("%d, %s,", (at, _when) => {
    test.each(answers)(
      "the client goes: the stream is given nothing more, and leaves nothing",
      async (answer) => {
        const { clock, hub, closed } = setUp({ maxFrameBytes: 1 });
        const [first] = [hub.publish("t", { data: "0" }), hub.publish("t", { data: "1" })];
        void hub.publish("t", { data: "2" });
        await turns(clock);
        let stream: Stream | null = null;
        const sink = new CallingSink(() => stream!.gone());
        Object.assign(sink, { at, answer });
        stream = (hub.open({ topics: ["t"], lastEventId: await first }) as Opening).attach(sink);
        await turns(clock);
        void hub.publish("t", { data: "3" });
        await turns(clock);
        await clock.advance(20_000);
        void hub.publish("t", { data: "4" });
        await turns(clock);
        expect([stream.state, closed, sink.writes]).toEqual(["closed", ["client"], at]);
        expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0, blocked: 0, catchingUp: 0 });
      },
    );
  });

  test.each([
    ["closes", (hub: ReturnType<typeof createHub>) => void hub.close()],
    ["is drained", (hub: ReturnType<typeof createHub>) => void hub.drain({ within: 0 })],
  ])("the hub %s: the client is told so after the frame, with the id of that", async (_, call) => {
    const { clock, hub, closed } = setUp();
    const sink = new CallingSink(() => call(hub));
    sink.at = 2;
    (hub.open({ topics: ["t"] }) as Opening).attach(sink);
    const id = hub.publish("t", { data: "1" });
    await clock.settle();
    expect(decode(sink)).toMatchObject([
      { type: "sse:ready" },
      { data: "1", lastEventId: await id },
      { type: "sse:closing", lastEventId: await id },
    ]);
    expect(closed).toEqual(["drain"]);
  });
});

describe("a hub that closes", () => {
  test("says so to who is told of a closed stream: nothing is opened any more", async () => {
    const refused: unknown[] = [];
    const { clock, hub } = setUp({
      onClose: () => {
        try {
          void connect(hub);
        } catch (error) {
          refused.push(error);
        }
      },
    });
    connect(hub);
    await Promise.all([hub.close(), clock.settle()]);
    expect(refused).toMatchObject([{ code: "closed" }]);
    expect(hub.stats().streams).toBe(0);
  });

  test("closes its log once, also when it is closed for each stream that closes", async () => {
    let closes = 0;
    const log = new MemoryLog();
    log.close = () => void closes++;
    const { clock, hub } = setUp({ log, onClose: () => void hub.close() });
    for (let at = 0; at < 3; at++) connect(hub);
    await Promise.all([hub.close(), clock.settle()]);
    expect(closes).toBe(1);
  });
});

describe("a sink that fails", () => {
  test("on the last word of its stream harms nobody", async () => {
    const { clock, hub, closed } = setUp();
    const sink = new CallingSink(() => {});
    Object.assign(sink, { at: 2, answer: () => Promise.reject(new Error("reset by peer")) });
    (hub.open({ topics: ["t"] }) as Opening).attach(sink);
    hub.drain({ within: 0 });
    await clock.settle();
    await new Promise((resolve) => void setImmediate(resolve)); // a rejection that nobody handles fails the test by then
    expect([closed, sink.writes]).toEqual([["drain"], 2]);
  });

  test("is aborted: its reader would wait for ever", async () => {
    const fault = new Error("no memory");
    const errors: unknown[] = [];
    const { clock, hub, closed } = setUp({ onError: (error) => errors.push(error) });
    const sink = new CallingSink(() => {
      throw fault;
    });
    sink.at = 2;
    (hub.open({ topics: ["t"] }) as Opening).attach(sink);
    void hub.publish("t", { data: "1" });
    await clock.settle();
    expect([closed, errors, sink.ended]).toEqual([["error"], [fault], "aborted"]);
  });
});

describe("a listener to the tail", () => {
  test("that appends: every other one is told in order", async () => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock });
    let isFirst = true;
    log.tail({
      append: () => {
        if (!isFirst) return;
        isFirst = false;
        log.append([newEvent("t", "2")]);
      },
      reset: () => {},
      skip: () => {},
    });
    const { hub } = setUp({ clock, log });
    const { sink } = connect(hub);
    void hub.publish("t", { data: "1" });
    await turns(clock);
    expect(dataOf(sink)).toEqual(["1", "2"]);
  });

  test("that begins to listen within a call is told what comes after", async () => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock });
    const hubs: ReturnType<typeof createHub>[] = [];
    log.tail({
      append: () => {
        if (hubs.length === 0) hubs.push(setUp({ clock, log }).hub);
      },
      reset: () => {},
      skip: () => {},
    });
    log.append([newEvent("t", "1")]);
    const { sink } = connect(hubs[0]!);
    log.append([newEvent("t", "2")]);
    await turns(clock);
    expect(dataOf(sink)).toEqual(["2"]);
    expect(hubs[0]!.stats().bytesTaken).toBe(Buffer.byteLength(sink.text.split("\n\n")[1]!) + 2);
  });
});
