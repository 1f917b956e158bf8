import { expect, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { heapSize } from "../../test/heap-size.ts";
import { RequestBodies } from "./request-bodies.ts";

const OVERHEAD = 4096;

/** A request whose body comes as the test wants it to. */
function slowRequest(headers: Record<string, string> = {}) {
  const sent = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>();
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => sent.resolve(controller),
    cancel: () => void (cancelled = true),
  });
  const request = new Request("http://localhost/", {
    method: "POST",
    headers,
    body,
    duplex: "half",
  });
  const send = async (text: string): Promise<void> => (await sent.promise).enqueue(Buffer.from(text));
  const end = async (): Promise<void> => (await sent.promise).close();
  const fail = async (): Promise<void> => (await sent.promise).error(new DOMException("gone", "AbortError"));
  return { request, send, end, fail, isCancelled: () => cancelled };
}

const whole = (text: string, headers: Record<string, string> = {}): Request =>
  new Request("http://localhost/", {
    method: "POST",
    headers: { "content-length": String(Buffer.byteLength(text)), ...headers },
    body: text,
  });

test.each([
  ["declared and small", whole("löng"), "löng"],
  ["declared and long", whole("ä".repeat(50_000)), "ä".repeat(50_000)],
  ["not declared", new Request("http://localhost/", { method: "POST", body: "x" }), "x"],
  ["none", new Request("http://localhost/", { method: "POST" }), ""],
  ["empty", whole(""), ""],
])("a body that is %s is read, and counts until it is released, once", async (_, request, text) => {
  const bodies = new RequestBodies();
  const body = await bodies.read(request);
  expect(body.text).toBe(text);
  expect(bodies.bytesInFlight).toBe(OVERHEAD + Buffer.byteLength(text));
  body.release();
  body.release();
  expect(bodies.bytesInFlight).toBe(0);
});

test("chunks are counted as they come, and characters may be cut by them", async () => {
  const bodies = new RequestBodies({ maxBodyBytes: 100 });
  const { request, send, end } = slowRequest();
  const reading = bodies.read(request);
  expect(bodies.bytesInFlight).toBe(OVERHEAD);
  await send("a");
  while (bodies.bytesInFlight < OVERHEAD + 1) await sleep(1);
  await send("bc");
  await end();
  const { text } = await reading;
  expect([text, bodies.bytesInFlight]).toEqual(["abc", OVERHEAD + 3]);
});

test.each([[{}], [{ "content-length": "10" }], [{ "content-length": "50000" }]])(
  "a body of %p that does not come in time is 408, and counts no more",
  async (headers) => {
    const bodies = new RequestBodies({ timeout: 30 });
    const slow = slowRequest(headers);
    const reading = bodies.read(slow.request);
    await slow.send("{");
    expect(bodies.bytesInFlight).toBeGreaterThan(0);
    expect(await reading.catch((error: unknown) => error)).toMatchObject({
      status: 408,
      reason: "body-timeout",
      headers: { connection: "close" },
    });
    expect(bodies.bytesInFlight).toBe(0);
  },
);

test("each has a deadline of its own, whatever arrives meanwhile", async () => {
  const bodies = new RequestBodies({ timeout: 100 });
  const times: number[] = [];
  const began: number[] = [];
  const readings: Promise<unknown>[] = [];
  for (let at = 0; at < 4; at++) {
    began.push(performance.now());
    readings.push(
      bodies.read(slowRequest().request).catch(() => void (times[at] = performance.now() - began[at]!)),
    );
    (await bodies.read(whole("x"))).release();
    await sleep(20);
  }
  await Promise.all(readings);
  for (const time of times) expect(time).toBeGreaterThanOrEqual(99);
  expect(bodies.bytesInFlight).toBe(0);
});

test("what no room is left for is 503, and what was refused makes room", async () => {
  const bodies = new RequestBodies({ maxBodyBytes: 60_000, maxBytesInFlight: 100_000 });
  const first = slowRequest();
  const reading = bodies.read(first.request);
  await first.send("x".repeat(60_000));
  while (bodies.bytesInFlight < 60_000) await sleep(1);
  const second = slowRequest();
  const refused = bodies.read(second.request);
  await second.send("x".repeat(30_000));
  while (bodies.bytesInFlight < 90_000) await sleep(1);
  await second.send("x".repeat(30_000));
  expect(await refused.catch((error: unknown) => error)).toMatchObject({ status: 503, reason: "bodies" });
  expect(second.isCancelled()).toBe(true);
  expect(bodies.bytesInFlight).toBe(OVERHEAD + 60_000);
  // Declared and small: it counts before it is there.
  for (let at = 0; at < 2; at++) (await bodies.read(whole("x".repeat(10_000)))).release();
  await first.end();
  (await reading).release();
  expect(bodies.bytesInFlight).toBe(0);
});

test("those who declare much and send nothing take no more than half of the room", async () => {
  const bodies = new RequestBodies({ maxBodyBytes: 200_000, maxBytesInFlight: 1_000_000 });
  const declared = { "content-length": "200000" };
  const slow = Array.from({ length: 20 }, () => slowRequest(declared));
  for (const { request } of slow) void bodies.read(request).catch(() => {});
  expect(bodies.bytesInFlight).toBe(20 * OVERHEAD + 2 * 200_000);
  const body = await bodies.read(whole("x".repeat(200_000)));
  expect(bodies.bytesInFlight).toBe(21 * OVERHEAD + 3 * 200_000);
  body.release();
});

test("requests with hardly a body are bounded too", async () => {
  const bodies = new RequestBodies({ maxBodyBytes: 10, maxBytesInFlight: 3 * (OVERHEAD + 10) });
  const held = [await bodies.read(whole("1")), await bodies.read(whole("2")), await bodies.read(whole("3"))];
  expect(await bodies.read(whole("4")).catch((error: unknown) => error)).toMatchObject({ status: 503 });
  held[0]!.release();
  await bodies.read(whole("5"));
});

test("whatever ends a body, it counts no more", async () => {
  const bodies = new RequestBodies({ maxBodyBytes: 100_000 });
  const gone = slowRequest();
  const reading = bodies.read(gone.request);
  await gone.send("x");
  await gone.fail();
  expect(await reading.catch((error: unknown) => error)).toMatchObject({
    status: 400,
    message: "the body was cut off",
  });
  expect(await bodies.read(whole("x".repeat(100_001))).catch((error: unknown) => error)).toMatchObject({
    status: 413,
  });
  const long = slowRequest();
  const tooLong = bodies.read(long.request);
  await long.send("x".repeat(100_001));
  expect(await tooLong.catch((error: unknown) => error)).toMatchObject({ status: 413 });
  expect(long.isCancelled()).toBe(true);
  for (const headers of [{}, { "content-length": "1" }]) {
    const body = new Uint8Array([0xff]);
    const request = new Request("http://localhost/", { method: "POST", headers, body });
    expect(await bodies.read(request).catch((error: unknown) => error)).toMatchObject({
      status: 400,
      message: "the body is not UTF-8",
    });
  }
  expect(bodies.bytesInFlight).toBe(0);
});

test("a body in chunks of a byte takes hardly more memory than one at once", async () => {
  const CHUNKS = 100_000;
  let sent = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (sent++ === CHUNKS) await new Promise(() => {});
        controller.enqueue(Buffer.from("x"));
      },
    },
    { highWaterMark: 0 },
  );
  const bodies = new RequestBodies();
  const before = await heapSize();
  void bodies.read(new Request("http://localhost/", { method: "POST", body, duplex: "half" }));
  while (bodies.bytesInFlight < OVERHEAD + CHUNKS) await sleep(1);
  expect((await heapSize()) - before).toBeLessThan(10 * CHUNKS);
});

test("there has to be room for the longest body", () => {
  expect(() => new RequestBodies({ maxBodyBytes: 100, maxBytesInFlight: 100 })).toThrow(
    /maxBytesInFlight 100 .* maxBodyBytes 100/,
  );
});
