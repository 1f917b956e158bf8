import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { NumberPublisher } from "./number-publisher.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/*
 * A refusal in the stream carries the cursor that came with the request. Clients in wide use (httpx-sse, two of Rust) come
 * back with the id of the last event that they were given, and with none where it had none: they would start afresh.
 */

describe("sse:closing of a refusal", () => {
  let server: ServerProcess;
  let only: SseClient;
  beforeAll(async () => {
    server = await ServerProcess.start("--max-streams", "1");
    only = await SseClient.open(`${server.url}/events`);
    await until(() => only.events.length > 0);
  });
  afterAll(async () => {
    only.close();
    await server[Symbol.asyncDispose]();
  });

  const refusal = async (query: string, headers: Record<string, string> = {}): Promise<string> => {
    const response = await fetch(`${server.url}/events${query}`, {
      headers: { accept: "text/event-stream", ...headers },
    });
    expect(response.status).toBe(200);
    return await response.text();
  };
  const lines = (text: string): (string | undefined)[] =>
    text.split("\n").map((line) => line.replaceAll(/[0-9]+/g, "N"));

  test.each([
    ["the header", "", { "last-event-id": "abc-1" }, "abc-1"],
    ["the query", "?lastEventId=abc-1", {}, "abc-1"],
    ["the header before the query", "?lastEventId=abc-1", { "last-event-id": "abc-2" }, "abc-2"],
    ["the last of two headers", "", { "last-event-id": "abc-1, abc-2" }, "abc-2"],
    ["the last of two parameters", "?lastEventId=abc-1&lastEventId=abc-2", {}, "abc-2"],
    ["an id that never was ours", "?lastEventId=urn:uuid:1%202", {}, "urn:uuid:1 2"],
  ])("has the cursor of %s", async (_, query, headers, id) => {
    expect(await refusal(query, headers as Record<string, string>)).toContain(`\nid: ${id}\n`);
  });

  test.each([
    ["none came", ""],
    ["an empty one came", "?lastEventId="],
    ["it has a line feed", "?lastEventId=a%0Adata:%20injected%0A%0A"],
    ["it has a carriage return", "?lastEventId=a%0Ddata:%20injected%0D%0D"],
    ["it has a NUL", "?lastEventId=a%00b"],
    ["it is no ASCII, which a header would bring back changed", "?lastEventId=%C3%A4"],
    ["it is longer than an id can be", `?lastEventId=${"a".repeat(129)}`],
  ])("has no id, and no line of others, where %s", async (_, query) => {
    expect(lines(await refusal(query))).toEqual([
      "event: sse:closing",
      "retry: N",
      'data: {"reason":"overload","retry":N}',
      "",
      "",
    ]);
  });
});

test("a refusal is a comment, where control events are to be", async () => {
  await using server = await ServerProcess.start("--max-streams", "1");
  await using only = await SseClient.open(`${server.url}/events`);
  await until(() => only.events.length > 0);
  const response = await fetch(`${server.url}/events?control=comment&lastEventId=abc-1`, {
    headers: { accept: "text/event-stream" },
  });
  expect(await response.text()).toMatch(
    /^: sse:closing \{"reason":"overload","retry":\d+\}\nretry: \d+\nid: abc-1\n\n$/,
  );
});

/**
 * Comes back with the id of the last event, whatever it was told: of an event without one it has none. It comes back at once,
 * so that it is refused while the server drains; and where nobody listens, when it is told that somebody does again.
 */
class LastIdClient {
  readonly seen: string[] = [];
  refusals = 0;
  readonly resumes: string[] = [];
  readonly #port: number;
  readonly #restarted: Promise<void>;
  #lastId = "";
  #stopped = false;

  constructor(port: number, restarted: Promise<void>) {
    this.#port = port;
    this.#restarted = restarted;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await ((await this.#connect()) ? Bun.sleep(20) : this.#restarted);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** On a socket, as raw text: no decoder that would keep an id for an event without one. False when nobody listens. */
  #connect(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cursor = this.#lastId === "" ? "" : `last-event-id: ${this.#lastId}\r\n`;
    let isOpen = false;
    const socket = connect(this.#port, "127.0.0.1", () => {
      isOpen = true;
      socket.write(
        `GET /events?topic=numbers HTTP/1.0\r\naccept: text/event-stream\r\nhost: localhost\r\n${cursor}\r\n`,
      );
    });
    let text = "";
    let isFirst = true;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      const blocks = (text + chunk).replace(/^HTTP[^]*?\r\n\r\n/, "").split("\n\n");
      text = blocks.pop()!;
      for (const block of blocks) {
        this.#take(block, isFirst);
        isFirst = false;
      }
      if (this.#stopped) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(isOpen));
    return promise;
  }

  #take(block: string, isFirst: boolean): void {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
    const type = field("event");
    if (type === "" && field("data") === "") return; // a comment
    this.#lastId = field("id");
    if (type === "") this.seen.push(field("data"));
    else if (type === "sse:ready")
      this.resumes.push((JSON.parse(field("data")) as { resume: string }).resume);
    else if (type === "sse:closing" && isFirst) this.refusals++;
  }
}

test("a restart under clients that take the last event's id loses nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sse-refusal-"));
  const port = String(await freePort());
  const flags = ["--log", `sqlite:${join(folder, "events.db")}`, "--drain", "3s", "--port", port];
  const before = await ServerProcess.start(...flags);
  const restarted = Promise.withResolvers<void>();
  const clients = Array.from({ length: 20 }, () => new LastIdClient(before.port, restarted.promise));
  const runs = clients.map((client) => client.run());
  using publisher = new NumberPublisher(before.url);
  const publishTwenty = async (): Promise<void> => {
    for (let at = 0; at < 20; at++) await publisher.next();
  };
  let after: ServerProcess | null = null;
  try {
    await until(() => clients.every(({ resumes }) => resumes.length > 0));
    await publishTwenty();
    await until(() => clients.every(({ seen }) => seen.length === 20));
    before.process.kill("SIGTERM");
    expect(await before.process.exited).toBe(0);
    after = await ServerProcess.start(...flags);
    await publishTwenty();
    restarted.resolve();
    await until(() => clients.every(({ resumes }) => resumes.length > 1));
    await publisher.next();
    await until(() => clients.every(({ seen }) => seen.at(-1) === String(publisher.number)));
    expect(clients.some(({ refusals }) => refusals > 0)).toBe(true);
    const all = Array.from({ length: publisher.number }, (_, at) => String(at + 1));
    for (const { seen, resumes } of clients) {
      expect(seen).toEqual(all);
      expect(resumes.slice(1).filter((resume) => resume !== "resumed")).toEqual([]);
    }
  } finally {
    restarted.resolve();
    for (const client of clients) client.stop();
    for (const each of [before, after]) await each?.[Symbol.asyncDispose]();
    await Promise.all(runs);
    await rm(folder, { recursive: true });
  }
});
