import { expect, test } from "bun:test";
import { type WireEvent, WireReader, type WireState } from "./wire-reader.ts";

/** A server of which each connection is written to by hand. */
function createReader(answers: (() => Response)[] = []) {
  const events: WireEvent[] = [];
  const states: WireState[] = [];
  const urls: string[] = [];
  const timers: { ms: number; task: () => void }[] = [];
  const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  const reader = new WireReader({
    url: (cursor) => `/events?at=${cursor}`,
    fetch: (url, { signal }) => {
      urls.push(url);
      const answer = answers.shift();
      if (answer !== undefined) return Promise.resolve(answer());
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          streams.push(controller);
          signal!.addEventListener("abort", () => controller.error(new DOMException("cut", "AbortError")));
        },
      });
      return Promise.resolve(new Response(body));
    },
    after: (ms, task) => {
      const timer = { ms, task };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
    random: () => 1,
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
  });
  const send = async (text: string) => {
    streams.at(-1)!.enqueue(new TextEncoder().encode(text));
    await settle();
  };
  return { reader, events, states, urls, timers, streams, send };
}

/** Lets all that is ready happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

const READY = 'event: sse:ready\nretry: 700\ndata: {"resume":"fresh","replayed":2}\nid: e-1\n\n';

test("events come with the very bytes that they were sent as", async () => {
  const { reader, events, states, send } = createReader();
  reader.open();
  await settle();
  await send(`${READY}:\nda`);
  await send("ta: ä\nid: e-2\n\n:\n");
  expect(states).toEqual([{ is: "connecting" }, { is: "open", resume: "fresh", replayed: 2, reason: "" }]);
  expect(events.map(({ type, data, id, size }) => [type, data, id, size])).toEqual([
    ["sse:ready", '{"resume":"fresh","replayed":2}', "e-1", READY.length],
    ["message", "ä", "e-2", 18],
  ]);
  expect(new TextDecoder().decode(events[1]!.raw)).toBe("data: ä\nid: e-2\n\n");
  reader.close();
});

test("a stream that ends is resumed at its cursor, later each time until it opens", async () => {
  const { reader, states, urls, timers, streams, send } = createReader();
  reader.open();
  await settle();
  await send(READY);
  await send('event: sse:closing\ndata: {"reason":"drain","retry":700}\nid: e-5\n\n');
  for (const wait of [700, 1_400]) {
    streams.at(-1)!.close();
    await settle();
    expect(timers.map(({ ms }) => ms)).toEqual([wait]);
    timers.shift()!.task();
    await settle();
  }
  expect(urls).toEqual(["/events?at=", "/events?at=e-5", "/events?at=e-5"]);
  expect(states).toContainEqual({ is: "waiting", why: "closed: drain", wait: 700 });
  reader.close();
});

test("a connection that is cut comes back after the time given, and what was under way is not heard", async () => {
  const { reader, events, urls, timers, send } = createReader();
  reader.open();
  await settle();
  await send(READY);
  reader.cut(50);
  expect(timers.map(({ ms }) => ms)).toEqual([50]);
  timers.shift()!.task();
  await settle();
  await send(READY);
  expect([events.length, urls.length]).toEqual([2, 2]);
  reader.close();
});

test("while it is stalled nothing is read, and afterwards everything", async () => {
  const { reader, events, send } = createReader();
  reader.open();
  await settle();
  await send(READY);
  reader.stall();
  await send("data: under way\n\n");
  await send("data: 1\n\n");
  await send("data: 2\n\n");
  expect(events.map(({ data }) => data).slice(1)).toEqual(["under way"]);
  reader.unstall();
  await settle();
  expect(events.map(({ data }) => data).slice(1)).toEqual(["under way", "1", "2"]);
  reader.close();
});

test("refusals are shown and not repeated; who is told to come back later does; 204 is the end", async () => {
  const problem =
    (status: number, headers: Record<string, string> = {}) =>
    () =>
      Response.json({ title: "No", detail: "because" }, { status, headers });
  const { reader, states, timers } = createReader([
    problem(400),
    problem(503, { "retry-after": "4" }),
    () => new Response(null, { status: 204 }),
  ]);
  reader.open();
  await settle();
  expect(states.at(-1)).toEqual({ is: "refused", status: 400, problem: "400 No: because" });
  reader.open();
  await settle();
  expect(states.at(-1)).toEqual({ is: "waiting", why: "503 No: because", wait: 4_000 });
  timers.shift()!.task();
  await settle();
  expect(states.at(-1)).toEqual({ is: "ended" });
  expect(timers).toEqual([]);
});

test("a reader that is closed says nothing more", async () => {
  const { reader, states, streams } = createReader();
  reader.open();
  await settle();
  reader.close();
  await settle();
  expect(streams).toHaveLength(1);
  expect(states.map(({ is }) => is)).toEqual(["connecting", "closed"]);
});
