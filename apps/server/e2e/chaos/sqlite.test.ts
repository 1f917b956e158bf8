import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEventId } from "@sse/hub";
import { freePort } from "@sse/hub/test/broker-process.ts";
import type { ServerSentEvent } from "@sse/protocol";
import { ServerProcess } from "../server-process.ts";
import { publish, SseClient, until } from "../sse-client.ts";

/*
 * Publishers publish and readers read while the server is killed at random moments, again and again. Afterwards every
 * acknowledged event is there, once, under its id, and every reader has seen all events in one order. `CHAOS_KILLS` says
 * how often it is killed; `bun run test:chaos` does it many times.
 */

const KILLS = Number(process.env.CHAOS_KILLS ?? 6);
const PUBLISHERS = 8;
const READERS = 4;

/** What a publisher knows: the id that each of its events was acknowledged with. */
interface Acknowledged {
  readonly id: string;
  readonly data: string;
}

async function publishOnAndOn(
  url: string,
  name: number,
  acknowledged: Acknowledged[],
  isOver: () => boolean,
): Promise<void> {
  // Half of them send an event again until it is acknowledged; the others give up what they got no answer for.
  const repeats = name % 2 === 0;
  for (let count = 0; !isOver(); count++) {
    const data = `${name}/${count}`;
    const event = { topic: `t/${name % 3}`, data, ...(repeats ? { id: data } : {}) };
    for (;;) {
      try {
        const { id } = await publish(url, event);
        acknowledged.push({ id: id as string, data });
        break;
      } catch {
        await Bun.sleep(10);
        if (!repeats) break;
      }
    }
  }
}

/** A reader that comes back by itself, with the id of the last event it saw. */
class Reader {
  readonly events: ServerSentEvent[] = [];
  #client: SseClient | null = null;
  #isOver = false;
  readonly #url: string;
  readonly done: Promise<void>;

  constructor(url: string) {
    this.#url = `${url}/events?topic=**`;
    this.done = this.#read();
  }

  async #read(): Promise<void> {
    while (!this.#isOver) {
      const id = this.events.at(-1)?.lastEventId;
      try {
        this.#client = await SseClient.open(this.#url, id === undefined ? {} : { "last-event-id": id });
        await until(() => this.#client!.ended || this.#isOver);
        this.events.push(...this.#client.events);
      } catch {
        await Bun.sleep(10);
      }
    }
  }

  /** The last event that it has seen. */
  get last(): string {
    return (this.#client?.events.at(-1) ?? this.events.at(-1))?.lastEventId ?? "";
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.done;
    this.#client?.close();
  }
}

const messages = (events: readonly ServerSentEvent[]): [id: string, data: string][] =>
  events.filter(({ type }) => type === "message").map(({ lastEventId, data }) => [lastEventId, data]);

test(
  `killed ${KILLS} times, a server with a file loses nothing that was acknowledged`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "sse-chaos-"));
    const log = ["--no-demos", "--log", `sqlite:${join(folder, "events.db")}`];
    const port = await freePort(); // which nobody else is given while it is down
    let server = await ServerProcess.start(...log, "--port", String(port));
    try {
      const { url } = server;
      const readers = Array.from({ length: READERS }, () => new Reader(url));
      await until(() => readers.every(({ last }) => last !== ""));
      let isOver = false;
      const acknowledged: Acknowledged[] = [];
      const publishers = Array.from({ length: PUBLISHERS }, (_, name) =>
        publishOnAndOn(url, name, acknowledged, () => isOver),
      );
      for (let kill = 0; kill < KILLS; kill++) {
        const before = acknowledged.length;
        await until(() => acknowledged.length > before + PUBLISHERS);
        await Bun.sleep(Math.random() * 250);
        await server.kill();
        server = await ServerProcess.start(...log, "--port", String(port));
        expect(server.lines.join()).not.toContain("a new log has begun");
      }
      isOver = true;
      await Promise.all(publishers);
      const { id: last } = await publish(url, { topic: "t/last", data: "last" });
      await until(() => readers.every((reader) => reader.last === last));
      await Promise.all(readers.map((reader) => reader.stop()));

      await using client = await SseClient.open(`${url}/events?topic=**&replay=all`);
      await until(() => client.lastEventId === last);
      const all = messages(client.events);
      const byData = new Map(all.map(([id, data]) => [data, id]));
      const seen = new Set<string>();
      expect(all.filter(([, data]) => seen.has(data) || !seen.add(data))).toEqual([]); // nothing twice
      expect(acknowledged.filter(({ id, data }) => byData.get(data) !== id)).toEqual([]);
      const numbers = all.map(([id]) => parseEventId(id)!.cursor);
      expect(numbers).toEqual(numbers.map((_, at) => at + 1));
      for (const { events } of readers) {
        expect(messages(events)).toEqual(all);
        expect(events.filter(({ type }) => type === "sse:gap")).toEqual([]);
      }
    } finally {
      await server.kill();
      rmSync(folder, { recursive: true });
    }
  },
  300_000 + KILLS * 5000,
);
