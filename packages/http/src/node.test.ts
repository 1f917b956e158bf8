import { afterEach, expect, test } from "bun:test";
import { createServer, type IncomingMessage, request as askHttp, type ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createHub, type HubOptions } from "@sse/hub";
import { serveNode } from "../test/serve.ts";
import { Refusal } from "./answers/problem.ts";
import { events } from "./events.ts";
import { createHandler } from "./handler.ts";
import { toNodeListener } from "./node.ts";
import { RequestBodies } from "./request/request-bodies.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

function makeHub(options: HubOptions = {}) {
  const hub = createHub({ heartbeat: null, ...options });
  stops.push(() => hub.close());
  return hub;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

async function listen(listener: Listener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${String(condition)}`);
    await sleep(5);
  }
}

/** Reads a stream until it has a text. */
async function readUntil(response: Response, text: string): Promise<string> {
  let all = "";
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    all += Buffer.from(chunk).toString();
    if (all.includes(text)) break;
  }
  return all;
}

const json = { "content-type": "application/json" };

test("paths that are not the handler's are passed on, and all others answered", async () => {
  const hub = makeHub();
  const listener = toNodeListener(createHandler({ hub, basePath: "/sse" }));
  const url = await listen((request, response) =>
    listener(request, response, () => void response.end("theirs")),
  );
  const ask = async (path: string, method = "GET"): Promise<[number, string]> => {
    const response = await fetch(url + path, { method });
    return [response.status, await response.text()];
  };
  expect(await ask("/else")).toEqual([200, "theirs"]);
  expect(await ask("/events")).toEqual([200, "theirs"]);
  expect((await ask("/sse/healthz?x"))[1]).toContain("up");
  expect((await ask("/sse/healthz", "DELETE"))[0]).toBe(405);
  const alone = await listen(toNodeListener(createHandler({ hub })));
  expect((await fetch(`${alone}/else`)).status).toBe(404);
});

test("a body that was parsed before is taken as it was parsed", async () => {
  const hub = makeHub();
  const listener = toNodeListener(createHandler({ hub }));
  const parsers = [
    (text: string) => JSON.parse(text) as unknown,
    (text: string) => text,
    (text: string) => Buffer.from(text),
  ];
  for (const parse of parsers) {
    const url = await listen((request, response) => {
      let text = "";
      request.on("data", (chunk) => (text += String(chunk)));
      request.on("end", () => listener(Object.assign(request, { body: parse(text) }), response));
    });
    const body = '{"topic":"t","data":{"a":[1]}}';
    expect((await fetch(`${url}/publish`, { method: "POST", headers: json, body })).status).toBe(200);
  }
  expect(hub.stats().published).toBe(3);
});

test("a parsed body is bounded by what it is, and not by the length that was sent", async () => {
  const hub = makeHub();
  const listener = toNodeListener(createHandler({ hub, bodies: new RequestBodies({ maxBodyBytes: 1000 }) }));
  const url = await listen((request, response) => {
    request.resume();
    // As express.json() does with a body that was compressed.
    request.on("end", () =>
      listener(Object.assign(request, { body: { topic: "t", data: "x".repeat(2000) } }), response),
    );
  });
  for (const headers of [json, { ...json, "content-encoding": "gzip" }])
    expect((await fetch(`${url}/publish`, { method: "POST", headers, body: "short" })).status).toBe(413);
  expect(hub.stats().published).toBe(0);
});

test("a body that somebody has read, and says nothing of, is the server's fault", async () => {
  const listener = toNodeListener(createHandler({ hub: makeHub() }));
  const url = await listen((request, response) => {
    request.on("data", () => {});
    request.on("end", () => listener(request, response));
  });
  const { error } = console;
  const told: unknown[] = [];
  console.error = (text) => void told.push(text);
  try {
    const body = '{"topic":"t","data":1}';
    expect((await fetch(`${url}/publish`, { method: "POST", headers: json, body })).status).toBe(500);
  } finally {
    console.error = error;
  }
  expect(told.join()).toContain("mount this before");
});

test("a path is the one that is left of a mounted middleware's, and the query stays", async () => {
  const hub = makeHub();
  const listener = toNodeListener(createHandler({ hub }));
  const url = await listen((request, response) => {
    request.url = request.url!.replace(/^\/mounted/, "");
    listener(request, response);
  });
  await hub.publish("a/b", { data: "hello" });
  const response = await fetch(`${url}/mounted/events?topic=a/b&replay=all`);
  expect(await readUntil(response, "hello")).toContain("data: hello\n");
});

test("a client that leaves amid its body publishes nothing, and harms nobody", async () => {
  const hub = makeHub();
  const { port, url, stop } = await serveNode(createHandler({ hub }));
  stops.push(stop);
  const socket = connect(port, "127.0.0.1");
  socket.write(
    "POST /publish?topic=t HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 99\r\n\r\nabc",
  );
  await sleep(50);
  socket.destroy();
  await until(async () => (await fetch(`${url}/healthz`)).ok);
  expect(hub.stats().published).toBe(0);
});

test("a request's signal tells of a client that leaves before the answer, and of no other", async () => {
  const told: string[] = [];
  let closed = 0;
  const listener = toNodeListener(async ({ url, signal }) => {
    const { pathname } = new URL(url);
    signal.addEventListener("abort", () => told.push(pathname));
    if (pathname === "/slow") await until(() => told.length > 0);
    return new Response("answer");
  });
  const url = await listen((request, response) => {
    listener(request, response);
    response.on("close", () => closed++);
  });
  expect(await (await fetch(`${url}/quick`)).text()).toBe("answer");
  const slow = askHttp(`${url}/slow`).on("error", () => {});
  slow.end();
  await sleep(50);
  slow.destroy();
  await until(() => closed === 2);
  expect(told).toEqual(["/slow"]);
});

test("a body over the limit is answered before all of it is there, and its connection closed", async () => {
  const { port, stop } = await serveNode(createHandler({ hub: makeHub() }));
  stops.push(stop);
  const socket = connect(port, "127.0.0.1");
  socket.write(
    "POST /publish HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n[",
  );
  let text = "";
  socket.on("data", (bytes) => void (text += bytes.toString()));
  await new Promise((resolve) => socket.on("close", resolve));
  expect(text).toMatch(/^HTTP\/1\.1 413 /);
  expect(text.toLowerCase()).toContain("connection: close");
});

test("two headers of one name are joined, and the last cursor counts", async () => {
  const hub = makeHub();
  const { url, stop } = await serveNode(createHandler({ hub }));
  stops.push(stop);
  const first = await hub.publish("default", { data: "1" });
  await hub.publish("default", { data: "2" });
  const text = await new Promise<string>((resolve) => {
    const asked = askHttp(`${url}/events`, (response) => {
      let all = "";
      response.on("data", (chunk) => {
        all += String(chunk);
        if (all.includes("data: 2")) {
          asked.destroy();
          resolve(all);
        }
      });
    });
    asked.setHeader("last-event-id", ["garbage", first]);
    asked.end();
  });
  expect(text).toContain('"resume":"resumed"');
});

test("streams go over HTTP/2", async () => {
  const hub = makeHub();
  const server = createHttp2Server(toNodeListener(createHandler({ hub })));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream = client.request({ ":path": "/events?topic=t" });
  let [status, text] = [0, ""];
  stream.on("response", (headers) => void (status = headers[":status"]!));
  stream.on("data", (chunk) => void (text += String(chunk)));
  await until(() => text.includes("sse:ready"));
  await hub.publish("t", { data: "over two" });
  await until(() => text.includes("data: over two"));
  expect(status).toBe(200);
  client.destroy();
  await until(() => hub.stats().streams === 0);
  await new Promise((resolve) => server.close(resolve));
});

test("a server that is closed has ended when the hub has closed its streams", async () => {
  const hub = makeHub();
  const server = createServer(toNodeListener(createHandler({ hub })));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/events`);
  const closed = new Promise((resolve) => server.close(resolve));
  expect(hub.stats().streams).toBe(1);
  await hub.close();
  expect(await answer.text()).toContain("event: sse:closing\n");
  await closed;
});

test.each(["GET", "HEAD", "PUT", "POST"])(
  "a %s over HTTP/2 whose body does not end is over once it is answered",
  async (method) => {
    const hub = makeHub();
    const server = createHttp2Server(toNodeListener(createHandler({ hub })));
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const asked = [];
    for (const path of ["/healthz", "/nothing"]) {
      const stream = client.request({ ":method": method, ":path": path }, { endStream: false });
      asked.push(new Promise((resolve) => stream.on("close", resolve)));
      stream.on("error", () => {}).resume();
    }
    await Promise.all(asked);
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  },
);

test("a body that is not read is the end of its connection, and no body is not", async () => {
  const { port, stop } = await serveNode(createHandler({ hub: makeHub() }));
  stops.push(stop);
  for (const [field, isLast] of [
    ["content-length: 5", true],
    ["transfer-encoding: chunked", true],
    ["content-length: 0", false],
    ["x: y", false],
  ] as const) {
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET /healthz HTTP/1.1\r\nhost: localhost\r\n${field}\r\n\r\n`);
    let text = "";
    socket.on("data", (bytes) => void (text += bytes.toString()));
    await until(() => text.includes('"up"'));
    expect([field, text.toLowerCase().includes("connection: close")]).toEqual([field, isLast]);
    socket.destroy();
  }
});

test("a route of one's own has the streams that it says, and answers what goes wrong as a problem", async () => {
  const hub = makeHub();
  await hub.publish("users/7", { data: "hello seven" });
  const handler = events(hub, {
    topics: async ({ url }) => {
      const user = new URL(url).searchParams.get("user");
      if (user === null) throw new Refusal(400, "user is missing");
      if (user === "x") throw new Error("a fault");
      return [`users/${user}`];
    },
  });
  const url = await listen(toNodeListener(handler));
  const response = await fetch(`${url}/any/path?user=7&replay=all`);
  expect(await readUntil(response, "seven")).toContain("data: hello seven\n");
  expect((await fetch(`${url}/?topic=a`)).status).toBe(400);
  const { error } = console;
  console.error = () => {};
  try {
    expect((await fetch(`${url}/?user=x`)).status).toBe(500);
  } finally {
    console.error = error;
  }
  await until(() => hub.stats().streams === 0);
});
