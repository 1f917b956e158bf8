import { afterEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { createHub } from "@sse/hub";
import { serve, serveNode } from "../test/serve.ts";
import { createHandler } from "./handler.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const SERVERS = [
  ["the runtime's own server", serve],
  ["node:http", serveNode],
] as const;

test.each(SERVERS)("what is in a Host is no part of the path, with %s", async (_, start) => {
  const hub = createHub();
  const { port, stop } = await start(createHandler({ hub }));
  stops.push(stop, () => hub.close());
  for (const host of ["a b", "a/stats?", "a?", "a#", "a\\stats?", "user@a"]) {
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    let text = "";
    socket.on("data", (bytes) => void (text += bytes.toString()));
    await new Promise((resolve) => socket.on("close", resolve));
    expect([host, text.slice(0, 13)]).toEqual([host, "HTTP/1.1 400 "]);
  }
});

test.each(SERVERS)("streams are counted by the address that %s knows", async (_, start) => {
  const hub = createHub({ maxStreamsPerAddress: 1 });
  const { url, stop } = await start(createHandler({ hub }));
  stops.push(stop, () => hub.close());
  const aborter = new AbortController();
  const ask = () => fetch(`${url}/events`, { headers: { accept: "*/*" }, signal: aborter.signal });
  expect((await ask()).status).toBe(200);
  expect((await ask()).status).toBe(429);
  expect(hub.stats()).toMatchObject({ streams: 1, addresses: 1 });
  aborter.abort();
});

test("a base path comes before all routes, and is checked", async () => {
  const hub = createHub();
  stops.push(() => hub.close());
  const handler = createHandler({ hub, basePath: "/api/sse" });
  expect([handler.has("/api/sse/events"), handler.has("/events")]).toEqual([true, false]);
  const statusOf = async (path: string) => (await handler(new Request(`http://localhost${path}`))).status;
  expect([await statusOf("/api/sse/healthz?x"), await statusOf("/healthz"), await statusOf("")]).toEqual([
    200, 404, 404,
  ]);
  for (const basePath of ["sse", "/", "/sse/", "/a?b", "/a#b"])
    expect(() => createHandler({ hub, basePath })).toThrow("must be like /sse");
});

test("an answer says that it differs by origin, whoever asks, where any is listed", async () => {
  const hub = createHub();
  stops.push(() => hub.close());
  const handler = createHandler({ hub, origins: ["https://app.example"], corsHeaders: ["X-User"] });
  const ask = async (origin: string, method = "GET") =>
    (
      await handler(
        new Request("http://localhost/stats", {
          method,
          headers: { origin, "access-control-request-method": "GET" },
        }),
      )
    ).headers;
  const listed = await ask("https://app.example");
  expect(listed.get("access-control-allow-origin")).toBe("https://app.example");
  expect(listed.get("access-control-expose-headers")).toBe("Retry-After, WWW-Authenticate, Link");
  expect(listed.get("vary")).toBe("Origin");
  const other = await ask("https://evil.example", "OPTIONS");
  expect([other.get("access-control-allow-origin"), other.get("vary")]).toEqual([null, "Origin"]);
  expect((await ask("https://app.example", "OPTIONS")).get("access-control-allow-headers")).toContain(
    "X-User",
  );
});

test("what a server hands over is looked at only where it is known", async () => {
  const hub = createHub();
  stops.push(() => hub.close());
  const handler = createHandler({ hub });
  for (const context of [undefined, null, {}, "text", 1, true, Symbol()])
    expect((await handler(new Request("http://localhost/healthz"), context)).status).toBe(200);
});
