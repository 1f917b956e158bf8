import { afterAll, describe, expect, test } from "bun:test";
import { HttpClient } from "../../test/http-client.ts";
import { type Attachable, webStream } from "../index.ts";
import { RecordedOpening, type SinkClient, sinkContract } from "../testing/sink-contract.ts";

/** Reads a body, one chunk after the other. */
class BodyClient implements SinkClient {
  readonly #reader;
  readonly #decoder = new TextDecoder();
  #text = "";
  #ended: "closed" | "aborted" | null = null;
  #paused: PromiseWithResolvers<void> | null = null;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        await this.#paused?.promise;
        const { done, value } = await this.#reader.read();
        if (done) break;
        this.#text += this.#decoder.decode(value, { stream: true });
      }
      this.#ended = "closed";
    } catch {
      this.#ended = "aborted";
    }
  }

  text(): string {
    return this.#text;
  }

  ended(): "closed" | "aborted" | null {
    return this.#ended;
  }

  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = null;
  }

  leave(): void {
    void this.#reader.cancel();
  }
}

sinkContract("webStream", {
  connect: async (opening) => new BodyClient(webStream(opening)),
  connectHead: async (opening) => webStream(opening).cancel(),
  leaveAtOnce: async (opening) => {
    const reader = webStream(opening).getReader();
    opening.onAttach = () => void reader.cancel();
    await reader.read();
  },
});

/** The server of Bun or Deno, on a free port; null in Node, which has none that speaks Fetch. */
function fetchServer(fetch: (request: Request) => Response): { port: number; stop: () => unknown } | null {
  const { Bun: bun, Deno: deno } = globalThis as unknown as {
    Bun?: { serve(options: object): { port: number; stop(isAtOnce: boolean): Promise<void> } };
    Deno?: { serve(options: object, fetch: unknown): { addr: { port: number }; unref(): void } };
  };
  const options = { port: 0, hostname: "127.0.0.1" };
  if (bun !== undefined) {
    const server = bun.serve({ ...options, fetch });
    return { port: server.port, stop: () => server.stop(true) };
  }
  if (deno === undefined) return null;
  const server = deno.serve({ ...options, onListen: () => {} }, fetch);
  return { port: server.addr.port, stop: () => server.unref() };
}

describe("over a server", () => {
  let next: Attachable;
  const server = fetchServer((request) => new Response(webStream(next, { signal: request.signal })));
  afterAll(() => server?.stop());
  const connect = (opening: Attachable, method = "GET"): Promise<HttpClient> => {
    next = opening;
    return HttpClient.connect(server!.port, method);
  };
  if (server !== null)
    sinkContract("webStream, over a server that speaks Fetch", {
      connect,
      // Deno reads for HEAD too, and then cancels: the opening is attached for a moment.
      ...(!("Deno" in globalThis) && { connectHead: (opening) => connect(opening, "HEAD") }),
    });
});

describe("webStream", () => {
  test("keeps 64 KiB and a frame for a reader that is behind", async () => {
    const opening = new RecordedOpening();
    const client = new BodyClient(webStream(opening));
    while (client.text() === "") await Promise.resolve();
    client.pause();
    let taken = 0;
    while (typeof opening.sink!.write(new Uint8Array(1000)) === "number") taken += 1000;
    expect(taken).toBeLessThan(66 * 1024);
    expect(taken).toBeGreaterThan(60 * 1024);
  });

  test("goes by the signal of a request, and lets go of it", async () => {
    const { signal, listeners, abort } = countedSignal();
    const opening = new RecordedOpening();
    const body = webStream(opening, { signal });
    const client = new BodyClient(body);
    while (client.text() === "") await Promise.resolve();
    expect(listeners()).toBe(1);
    abort();
    expect(opening.log).toEqual(["attach", "gone"]);
    expect(listeners()).toBe(0);
    const closed = new RecordedOpening();
    const other = countedSignal();
    await webStream(closed, { signal: other.signal }).getReader().read();
    closed.sink!.close();
    expect(other.listeners()).toBe(0);
  });

  test("is never attached for a request that was aborted before, or before it is read", async () => {
    const opening = new RecordedOpening();
    webStream(opening, { signal: AbortSignal.abort() });
    expect(opening.log).toEqual(["cancel"]);
    const later = new RecordedOpening();
    const { signal, abort } = countedSignal();
    const body = webStream(later, { signal });
    abort();
    expect(later.log).toEqual(["cancel"]);
    expect((await body.getReader().read()).done).toBe(true);
  });
});

function countedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...given: Parameters<typeof add>) => {
    count++;
    add(...given);
  };
  signal.removeEventListener = (...given: Parameters<typeof remove>) => {
    count--;
    remove(...given);
  };
  return { signal, listeners: () => count, abort: () => controller.abort() };
}
