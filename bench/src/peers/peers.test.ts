import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { createDecoder, type ServerSentEvent } from "@sse/protocol";
import { freePort } from "../free-port.ts";
import { PEERS } from "./peers.ts";
import type { Peer, RunningPeer } from "./peer.ts";

/* What every comparison rests on: that each peer gives every stream every event, once and in order. */

const STREAMS = 20;
const EVENTS = 50;
/** Published at the same time, in the second half. */
const IN_FLIGHT = 5;
/** Under the test's own, so that it is the stream that tells what is missing. */
const DEADLINE = 120_000;

/** Takes HTTP/1.1 chunks apart, strictly. What is incomplete stays for the next time. */
function dechunk(bytes: Buffer): { body: Buffer; rest: Buffer } {
  const parts: Buffer[] = [];
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n");
    if (lineEnd < 0) break;
    const size = bytes.toString("latin1", 0, lineEnd);
    if (!/^[0-9a-f]+$/i.test(size)) throw new Error(`not a chunk size: ${JSON.stringify(size)}`);
    const end = lineEnd + 2 + Number.parseInt(size, 16);
    if (bytes.length < end + 2) break;
    if (bytes.toString("latin1", end, end + 2) !== "\r\n") throw new Error("a chunk without its line end");
    parts.push(bytes.subarray(lineEnd + 2, end));
    bytes = bytes.subarray(end + 2);
  }
  return { body: Buffer.concat(parts), rest: bytes };
}

/** One stream on a socket of its own. */
class RawStream {
  /** The events of publishers, without a server's own. */
  readonly events: ServerSentEvent[] = [];
  head = "";
  #bytes: Buffer = Buffer.alloc(0);
  #error: unknown = null;
  #changed = () => {};
  readonly #decoder = createDecoder({
    onEvent: (event) => {
      if (event.type === "message") this.events.push(event);
    },
  });

  async open(url: URL): Promise<this> {
    await Bun.connect({
      hostname: url.hostname,
      port: Number(url.port),
      socket: {
        open(socket) {
          socket.write(
            `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`,
          );
        },
        data: (_, data) => this.#take(data),
        close: () => {
          this.#error ??= new Error("the server closed the stream");
          this.#changed();
        },
      },
    });
    await this.until(() => this.head !== "");
    return this;
  }

  async until(done: () => boolean): Promise<void> {
    const timer = setTimeout(() => {
      this.#error ??= new Error(`after ${DEADLINE} ms there were ${this.events.length} events`);
      this.#changed();
    }, DEADLINE);
    while (!done() && this.#error === null) await new Promise<void>((wake) => (this.#changed = wake));
    clearTimeout(timer);
    if (!done()) throw this.#error;
  }

  #take(data: Buffer): void {
    try {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      if (this.head === "") {
        const end = this.#bytes.indexOf("\r\n\r\n");
        if (end < 0) return;
        this.head = this.#bytes.toString("latin1", 0, end);
        this.#bytes = this.#bytes.subarray(end + 4);
      }
      // Nchan's body goes on until the connection closes.
      const isChunked = /^transfer-encoding: chunked/im.test(this.head);
      const { body, rest } = isChunked ? dechunk(this.#bytes) : { body: this.#bytes, rest: Buffer.alloc(0) };
      this.#bytes = rest;
      this.#decoder.feed(body);
    } catch (error) {
      this.#error = error;
    }
    this.#changed();
  }
}

async function publish(peer: RunningPeer, data: string): Promise<number> {
  const request = peer.publish("test");
  const { url, headers } = request;
  const response = await fetch(url, { method: "POST", headers, body: request.body(data) });
  await response.arrayBuffer();
  return response.status;
}

/** The count in an id: after the epoch of ours, `time:count` of Nchan's. */
function place(id: string): number {
  const [, epoch, count] = /^(\w+)[-:](\d+)$/.exec(id)!;
  return (id.includes(":") ? Number(epoch) * 1e6 : 0) + Number(count);
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

async function deliversEverything(peer: Peer): Promise<void> {
  let pids: readonly number[];
  {
    await using running = await peer.start(freePort());
    ({ pids } = running);
    expect(pids.filter(isAlive)).toEqual([...pids]);
    const url = new URL(running.eventsUrl("test"));
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => new RawStream().open(url)));
    for (const { head } of streams) {
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(head).toMatch(/^content-type: text\/event-stream/im);
    }
    const sent = Array.from({ length: EVENTS }, (_, at) => `event ${at}`);
    const half = EVENTS / 2;
    for (const data of sent.slice(0, half)) expect((await publish(running, data)).toString()).toMatch(/^2/);
    for (let at = half; at < EVENTS; at += IN_FLIGHT) {
      const answers = sent.slice(at, at + IN_FLIGHT).map((data) => publish(running, data));
      for (const status of await Promise.all(answers)) expect(status.toString()).toMatch(/^2/);
    }
    await Promise.all(streams.map((stream) => stream.until(() => stream.events.length >= EVENTS)));
    const { events } = streams[0]!;
    expect(events.slice(0, half).map((event) => event.data)).toEqual(sent.slice(0, half));
    expect(events.map((event) => event.data).toSorted()).toEqual(sent.toSorted());
    const places = events.map((event) => place(event.lastEventId));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(new Set(places).size).toBe(EVENTS);
    for (const stream of streams) expect(stream.events).toEqual(events);
  }
  expect(pids.filter(isAlive)).toEqual([]);
}

const missing = await Promise.all(PEERS.map((peer) => peer.prepare()));

describe("every peer gives each stream every event, once and in order", () => {
  for (const [at, peer] of PEERS.entries()) {
    if (peer.publishOnly) continue;
    const reason = missing[at]!;
    const name = reason === null ? peer.name : `${peer.name} (${reason})`;
    test.skipIf(reason !== null)(name, () => deliversEverything(peer));
  }
});

test("a peer does not start on a port that is in use", async () => {
  using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const refused = await PEERS[0]!.start(server.port).catch((error: Error) => error.message);
  expect(refused).toBe(`port ${server.port} is in use`);
});
