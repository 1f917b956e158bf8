import { expect, test } from "bun:test";
import { type WireEvent, WireReader, type WireState } from "./wire-reader.ts";

const STREAM = { headers: { "content-type": "text/event-stream" } };

/** A server of which each connection is written to by hand. */
function createReader(answers: (() => Response)[] = []) {
  const events: WireEvent[] = [];
  const states: WireState[] = [];
  const cursors: (string | null)[] = [];
  const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  const reader = new WireReader({
    url: "http://page.test/events",
    fetch: (_, { signal, headers }) => {
      cursors.push(new Headers(headers).get("last-event-id"));
      const answer = answers.shift();
      if (answer !== undefined) return Promise.resolve(answer());
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          streams.push(controller);
          signal!.addEventListener("abort", () => controller.error(new DOMException("cut", "AbortError")));
        },
      });
      return Promise.resolve(new Response(body, STREAM));
    },
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
  });
  const send = async (text: string) => {
    streams.at(-1)!.enqueue(new TextEncoder().encode(text));
    await settle();
  };
  return { reader, events, states, cursors, streams, send };
}

/** Lets all that is ready happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !condition() && Date.now() < end;) await Bun.sleep(1);
  expect(condition()).toBe(true);
}

const READY = 'event: sse:ready\nretry: 1\ndata: {"resume":"fresh","replayed":2}\nid: e-1\n\n';

test("events come with the very bytes that they were sent as", async () => {
  const { reader, events, states, send } = createReader();
  reader.open();
  await settle();
  await send(`${READY}:\nda`);
  await send("ta: ä\nid: e-2\n\n:\nevent: of my own\ndata\n\n");
  expect(states).toEqual([{ is: "connecting" }, { is: "open", resume: "fresh", replayed: 2, reason: "" }]);
  expect(events.map(({ type, data, id, size }) => [type, data, id, size])).toEqual([
    ["sse:ready", '{"resume":"fresh","replayed":2}', "e-1", READY.length],
    ["message", "ä", "e-2", 18],
    ["of my own", "", "e-2", 23],
  ]);
  expect(events.map(({ raw }) => new TextDecoder().decode(raw))).toEqual([
    READY,
    "data: ä\nid: e-2\n\n",
    "event: of my own\ndata\n\n",
  ]);
  reader.close();
});

test("a stream that ends is resumed at its cursor, and what it said of its end is shown", async () => {
  const { reader, states, cursors, streams, send } = createReader();
  reader.open();
  await settle();
  await send(READY);
  await send('event: sse:closing\ndata: {"reason":"drain","retry":1}\nid: e-5\n\n');
  streams[0]!.close();
  await until(() => streams.length === 2);
  streams[1]!.error(new TypeError("broken"));
  await until(() => streams.length === 3);
  expect(cursors).toEqual([null, "e-5", "e-5"]);
  expect(states.flatMap((state) => (state.is === "waiting" ? [state.why] : []))).toEqual([
    "closed: drain",
    "the connection was lost",
  ]);
  reader.close();
});

test("a connection that is cut comes back after the time given, and what was under way is not heard", async () => {
  const { reader, events, states, cursors, streams, send } = createReader();
  reader.open();
  await settle();
  await send(READY);
  reader.cut(1);
  expect(states.at(-1)).toEqual({ is: "waiting", why: "cut", wait: 1 });
  await until(() => streams.length === 2);
  await settle();
  await send(READY);
  expect([events.length, cursors]).toEqual([2, [null, "e-1"]]);
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
  const { reader, states, cursors } = createReader([
    problem(400),
    problem(503, { "retry-after": "4" }),
    () => new Response(null, { status: 204 }),
    () => new Response("hello"),
  ]);
  const open = async () => {
    reader.open();
    await settle();
    return states.at(-1);
  };
  expect(await open()).toEqual({ is: "refused", status: 400, problem: "400 No: because" });
  const waiting = await open();
  expect(waiting).toEqual({ is: "waiting", why: "503 No: because", wait: expect.any(Number) });
  expect(waiting?.is === "waiting" && waiting.wait).toBeGreaterThanOrEqual(4_000);
  reader.close();
  expect(await open()).toEqual({ is: "ended" });
  expect(await open()).toMatchObject({ is: "refused", status: 200 });
  expect(cursors).toHaveLength(4);
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
