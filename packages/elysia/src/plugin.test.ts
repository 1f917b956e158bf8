import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createHub } from "@sse/hub";
import { Admission } from "@sse/http";
import { Elysia } from "elysia";
import { sse } from "./plugin.ts";

test("one app serves several hubs, and counts who asks for each of them on its own", async () => {
  const [one, other] = [createHub({ maxStreamsPerAddress: 1 }), createHub()];
  const rated = new Admission(other, { publishRate: 1 });
  const app = new Elysia()
    .group("/one", (group) => group.use(sse({ hub: one })))
    .group("/other", (group) => group.use(sse({ hub: other, admission: rated })))
    .listen({ port: 0, hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${app.server!.port}`;
  const aborter = new AbortController();
  const statusOf = async (path: string, init?: RequestInit) =>
    (await fetch(url + path, { ...init, signal: aborter.signal })).status;
  const publish = { method: "POST", body: "x", headers: { "content-type": "text/plain" } };
  const many = {
    method: "POST",
    body: JSON.stringify(Array.from({ length: 1000 }, () => ({ topic: "a", data: "x" }))),
    headers: { "content-type": "application/json" },
  };
  try {
    expect(await statusOf("/one/events")).toBe(200);
    expect(await statusOf("/one/events", { headers: { accept: "*/*" } })).toBe(429);
    expect(await statusOf("/other/events")).toBe(200);
    expect(one.stats()).toMatchObject({ streams: 1, addresses: 1 });
    expect(other.stats()).toMatchObject({ streams: 1, addresses: 1 });

    // What is taken at once has to be paid for: with a thousand seconds.
    expect(await statusOf("/other/publish", many)).toBe(200);
    expect(await statusOf("/other/publish?topic=a", publish)).toBe(429);
    for (let at = 0; at < 2; at++) expect(await statusOf("/one/publish", many)).toBe(200);
  } finally {
    aborter.abort();
    await app.stop(true);
    await Promise.all([one.close(), other.close()]);
  }
});

async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${String(condition)}`);
    await Bun.sleep(5);
  }
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

/** Stalls past the write deadline in a process of its own, and answers what it printed and what the reader was given. */
async function stall(listen: string): Promise<{ printed: string; complete: boolean }> {
  const app = Bun.spawn(
    [
      "bun",
      "-e",
      `import { createHub } from "@sse/hub";
      import { createHandler } from "@sse/http";
      import { Elysia } from "elysia";
      import { sse } from "./index.ts";
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
  ["a plain server", "Bun.serve({ port: 0, fetch: createHandler({ hub }) })"],
])("%s prints nothing for a reader that stalls past the deadline, and resets it", async (_, listen) => {
  expect(await stall(listen)).toEqual({ printed: "", complete: false });
});
