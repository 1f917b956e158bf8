import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createHub, type EventLog, type Hub, type HubOptions, MemoryLog, systemClock } from "@sse/hub";
import { createHandler } from "../handler.ts";
import { serve } from "../../test/serve.ts";

/* An opening has its quotas before it has a body: whatever becomes of its request, it has to give them back. */

async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${String(condition)}`);
    await sleep(5);
  }
}

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function setUp(options: HubOptions = {}) {
  const hub = createHub({ heartbeat: null, ...options });
  const handler = createHandler({ hub });
  const { port, stop } = await serve(handler);
  stops.push(stop, () => hub.close());
  return { hub, handler, port };
}

/** Opens a connection with a request on it, of which nothing is read. */
function dial(port: number, head: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(`${head} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      resolve(socket);
    });
    socket.pause();
    socket.on("error", () => {});
  });
}

function expectNothingLeft(hub: Hub): void {
  expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0, addresses: 0, principals: 0 });
}

/** A log that answers where a stream begins when it is told to. */
function slowLog() {
  const log: EventLog = new MemoryLog();
  const position = log.position.bind(log);
  const answers: (() => void)[] = [];
  log.position = async (request) => {
    await new Promise<void>((resolve) => answers.push(resolve));
    return position(request);
  };
  const answer = (): void => answers.splice(0).forEach((each) => each());
  return { log, answers, answer };
}

describe("nothing is left of", () => {
  test("a HEAD request", async () => {
    const { hub, port } = await setUp({ maxStreamsPerAddress: 1 });
    for (let at = 0; at < 20; at++) {
      const response = await fetch(`http://127.0.0.1:${port}/events`, { method: "HEAD" });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
      await until(() => hub.stats().streams === 0);
    }
    expectNothingLeft(hub);
  });

  test("requests whose clients go while the log is asked", async () => {
    const { log, answers, answer } = slowLog();
    const { hub, port } = await setUp({ log });
    const sockets = await Promise.all(Array.from({ length: 100 }, () => dial(port, "GET /events")));
    await until(() => answers.length === 100);
    expect(hub.stats().streams).toBe(100);
    for (const socket of sockets) socket.destroy();
    // A request that comes after the last of them is answered when the server has seen them go.
    await until(async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok);
    answer();
    await until(() => hub.stats().streams === 0);
    expectNothingLeft(hub);
  });

  test("requests whose clients go at once, and read nothing", async () => {
    const { hub, port } = await setUp();
    const sockets = await Promise.all(Array.from({ length: 200 }, () => dial(port, "GET /events")));
    for (const socket of sockets.splice(0, 100)) socket.destroy();
    await until(() => hub.stats().streams === 100);
    for (const socket of sockets) socket.destroy();
    await until(() => hub.stats().streams === 0);
    expectNothingLeft(hub);
  });

  test("1,000 answers whose bodies are cancelled unread", async () => {
    const { hub, handler } = await setUp();
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => handler(new Request("http://localhost/events"))),
    );
    expect(hub.stats().streams).toBe(1000);
    await Promise.all(answers.map(({ body }) => body!.cancel()));
    expectNothingLeft(hub);
  });

  test("1,000 answers that nobody ever reads, after a while", async () => {
    const clock = { ...systemClock, now: () => performance.now() * 1000 };
    // The deadline is only how often the hub looks.
    const { hub, handler } = await setUp({ clock, maxAge: null, writeDeadline: 100 });
    await Promise.all(Array.from({ length: 1000 }, () => handler(new Request("http://localhost/events"))));
    expect(hub.stats().streams).toBe(1000);
    await until(() => hub.stats().streams === 0);
    expectNothingLeft(hub);
  });
});

test("a client that has had all of a topic that has ended is answered 204, and nothing is left of it", async () => {
  const { hub, handler } = await setUp();
  const end = await hub.end("t");
  const response = await handler(
    new Request("http://localhost/events?topic=t", { headers: { "last-event-id": end } }),
  );
  expect(response.status).toBe(204);
  expectNothingLeft(hub);
});

test("a stream whose hub closes before it is read is told so", async () => {
  const { hub, handler } = await setUp();
  const id = await hub.publish("default", { data: "1" });
  const response = await handler(
    new Request("http://localhost/events", { headers: { "last-event-id": id } }),
  );
  await hub.close();
  const text = await response.text();
  expect(text).toStartWith("event: sse:closing\n");
  expect(text).toContain(`\nid: ${id}\n`);
});
