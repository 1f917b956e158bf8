import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Answer, until, WireServer } from "./wire-server.ts";

/* Plays the harness of sse-contract-tests for a few of its cases: the service has to speak its protocol. */

type Report = {
  kind: string;
  event?: { type: string; data: string; id: string };
  comment?: string;
  error?: string;
};

let service: Bun.Subprocess<"ignore", "pipe", "inherit">;
let url = "";

beforeAll(async () => {
  service = Bun.spawn(["bun", "run", "--silent", "contract-service"], {
    cwd: join(import.meta.dir, ".."),
    env: { ...Bun.env, PORT: "0" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await service.stdout.getReader().read();
  url = /listening at (\S+)/.exec(new TextDecoder().decode(value))![1]!;
});
afterAll(async () => {
  service.kill("SIGKILL");
  await service.exited;
});

/** A stream as the harness opens one, and what is reported of it. */
async function open(answer: Answer, parameters: object = {}) {
  const stream = await WireServer.start(answer);
  const reports: Report[] = [];
  const callbacks = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      expect(new URL(request.url).pathname).toBe(`/callback/${reports.length + 1}`);
      reports.push((await request.json()) as Report);
      return new Response();
    },
  });
  const body = {
    streamUrl: stream.url,
    callbackUrl: `${callbacks.url.href}callback`,
    tag: "t",
    initialDelayMs: 1,
    ...parameters,
  };
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  expect(response.status).toBe(201);
  const location = new URL(response.headers.get("location")!, url).href;
  return {
    stream,
    reports,
    command: async (command: string) =>
      (await fetch(location, { method: "POST", body: JSON.stringify({ command }) })).status,
    [Symbol.asyncDispose]: async () => {
      await fetch(location, { method: "DELETE" });
      await until(() => stream.exchanges.every(({ gone }) => gone));
      await stream[Symbol.asyncDispose]();
      await callbacks.stop(true);
    },
  };
}

describe("the contract service", () => {
  test("says what it can do", async () => {
    const { name, capabilities } = (await (await fetch(url)).json()) as {
      name: string;
      capabilities: string[];
    };
    expect(name).toBe("@sse/client");
    expect(capabilities).toContain("restart");
    expect((await fetch(`${url}nothing`)).status).toBe(404);
  });

  test("reports events of all types, comments and ids, in their order", async () => {
    await using harness = await open((exchange) =>
      exchange.stream("\ufeffid: 1\nevent: add\ndata: a\n\n: hi\n\nda", "ta: b\r", "\ndata\r\n\r\n"),
    );
    await until(() => harness.reports.length === 3);
    expect(harness.reports).toEqual([
      { kind: "event", event: { type: "add", data: "a", id: "1" } },
      { kind: "comment", comment: "hi" },
      { kind: "event", event: { type: "message", data: "b\n", id: "1" } },
    ]);
  });

  test("sends headers, method, body and the first id, and all of them again after a restart", async () => {
    await using harness = await open((exchange, number) => exchange.stream(`id: ${number}\ndata: a\n\n`), {
      headers: { "x-name": "value" },
      method: "REPORT",
      body: "text",
      lastEventId: "first",
    });
    await until(() => harness.reports.length === 1);
    expect(await harness.command("restart")).toBe(202);
    await until(() => harness.reports.length === 3);
    expect(harness.reports.map(({ kind }) => kind)).toEqual(["event", "error", "event"]);
    expect(harness.stream.requests).toMatchObject([
      { method: "REPORT", body: "text", headers: { "x-name": "value", "last-event-id": "first" } },
      { method: "REPORT", body: "text", headers: { "x-name": "value", "last-event-id": "1" } },
    ]);
    expect(await harness.command("dance")).toBe(400);
  });

  test("reports a read timeout, and comes back", async () => {
    await using harness = await open(
      (exchange, number) => exchange.stream(number === 1 ? "data: lost" : "data: a\n\n"),
      { readTimeoutMs: 200 },
    );
    await until(() => harness.reports.some(({ event }) => event?.data === "a"));
    expect(harness.reports[0]).toEqual({ kind: "error", error: "silent " });
  });

  test("reports a redirect to nowhere and 204 as the end", async () => {
    for (const status of [301, 307, 204]) {
      await using harness = await open((exchange) => exchange.head(status, { "content-length": "0" }).cut());
      await until(() => harness.reports.length === 1);
      expect(harness.reports).toEqual([{ kind: "error", error: `status ${status}` }]);
      expect(harness.stream.requests.length).toBe(1);
    }
  });

  test("ends when it is told to", async () => {
    expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
    expect(await service.exited).toBe(0);
  });
});
