import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createHub, type EventLog, type Hub, type HubOptions, MemoryLog, systemClock } from "@sse/hub";
import { Elysia } from "elysia";
import { sse } from "./plugin.ts";

/* An opening has its quotas before it has a body: whatever becomes of its request, it has to give them back. */

async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${String(condition)}`);
    await Bun.sleep(5);
  }
}

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function serve(options: HubOptions = {}) {
  const hub = createHub({ heartbeat: null, ...options });
  const app = new Elysia().use(sse({ hub })).listen({ port: 0, hostname: "127.0.0.1" });
  stops.push(
    () => app.stop(true),
    () => hub.close(),
  );
  return { hub, app, port: app.server!.port! };
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
    const { hub, port } = serve({ maxStreamsPerAddress: 1 });
    for (let at = 0; at < 20; at++) {
      const response = await fetch(`http://127.0.0.1:${port}/events`, { method: "HEAD" });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
      await until(() => hub.stats().streams === 0);
    }
    expectNothingLeft(hub);
  });

  test("requests whose clients go while the log is asked", async () => {
    const { log, answers, answer } = slowLog();
    const { hub, port } = serve({ log });
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
    const { hub, port } = serve();
    const sockets = await Promise.all(Array.from({ length: 200 }, () => dial(port, "GET /events")));
    for (const socket of sockets.splice(0, 100)) socket.destroy();
    await until(() => hub.stats().streams === 100);
    for (const socket of sockets) socket.destroy();
    await until(() => hub.stats().streams === 0);
    expectNothingLeft(hub);
  });

  test("1,000 answers whose bodies are cancelled unread", async () => {
    const { hub, app } = serve();
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => app.handle(new Request("http://localhost/events"))),
    );
    expect(hub.stats().streams).toBe(1000);
    await Promise.all(answers.map(({ body }) => body!.cancel()));
    expectNothingLeft(hub);
  });

  test("1,000 answers that nobody ever reads, after a while", async () => {
    const clock = { ...systemClock, now: () => performance.now() * 1000 };
    // The deadline is only how often the hub looks.
    const { hub, app } = serve({ clock, maxAge: null, writeDeadline: 100 });
    await Promise.all(Array.from({ length: 1000 }, () => app.handle(new Request("http://localhost/events"))));
    expect(hub.stats().streams).toBe(1000);
    await until(() => hub.stats().streams === 0);
    expectNothingLeft(hub);
  });
});

test("a client that has had all of a topic that has ended is answered 204, and nothing is left of it", async () => {
  const { hub, app } = serve();
  const end = await hub.end("t");
  const response = await app.handle(
    new Request("http://localhost/events?topic=t", { headers: { "last-event-id": end } }),
  );
  expect(response.status).toBe(204);
  expectNothingLeft(hub);
});

test("a stream whose hub closes before it is read is told so", async () => {
  const { hub, app } = serve();
  const id = await hub.publish("default", { data: "1" });
  const response = await app.handle(
    new Request("http://localhost/events", { headers: { "last-event-id": id } }),
  );
  await hub.close();
  const text = await response.text();
  expect(text).toStartWith("event: sse:closing\n");
  expect(text).toContain(`\nid: ${id}\n`);
});

/** Stalls past the write deadline in a process of its own, and answers what it printed and what the reader was given. */
async function stall(listen: string): Promise<{ printed: string; complete: boolean }> {
  const app = Bun.spawn(
    [
      "bun",
      "-e",
      `import { createHub } from "@sse/hub";
      import { Admission, events, sse } from "./index.ts";
      import { Elysia } from "elysia";
      const hub = createHub({ heartbeat: null, writeDeadline: 200, onClose: (_, reason) => console.log(reason) });
      const server = ${listen};
      console.log(server.port);
      setInterval(() => void hub.publish("default", { data: "x".repeat(500_000) }), 5);`,
    ],
    {
      cwd: import.meta.dir,
      env: { ...Bun.env, NODE_ENV: "development", NO_COLOR: "1" },
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  let lines: string[] = [];
  void (async () => {
    let text = "";
    for await (const chunk of app.stdout) {
      text += new TextDecoder().decode(chunk);
      lines = text.split("\n");
    }
  })();
  try {
    await until(() => lines.length > 1);
    const socket = await dial(Number(lines[0]), "GET /events");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    await until(() => lines.includes("slow"));
    let last = "";
    socket.on("data", (bytes: Buffer) => void (last = bytes.subarray(-5).toString("latin1")));
    socket.resume();
    await closed;
    app.kill();
    return { printed: await app.stderr.text(), complete: last === "0\r\n\r\n" };
  } finally {
    app.kill("SIGKILL");
  }
}

test.each([
  ["a plain app", "new Elysia().use(sse({ hub })).listen({ port: 0 }).server"],
  [
    "a plain server",
    "Bun.serve({ port: 0, fetch: (request, server) => events(new Admission(hub), request, server) })",
  ],
])("%s prints nothing for a reader that stalls past the deadline, and resets it", async (_, listen) => {
  expect(await stall(listen)).toEqual({ printed: "", complete: false });
});
