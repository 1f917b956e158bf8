import { createDecoder, type ServerSentEvent } from "@sse/protocol";

/** How long a test waits for a condition, in milliseconds: what comes true at all comes true in this time on a busy machine. */
export const PATIENCE = 120_000;

/** Waits for a condition, and says which one did not come true. */
export async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${PATIENCE} ms: ${String(condition)}`);
    await Bun.sleep(5);
  }
}

/**
 * For what a test has to do before a time is over that the server was told: tries with a second, with two, and so on, until
 * the machine is quick enough for it.
 *
 * @param attempt gets the time, in milliseconds; false: it was too short
 */
export async function withGrowingTime(attempt: (milliseconds: number) => Promise<boolean>): Promise<void> {
  for (let milliseconds = 1000; milliseconds <= PATIENCE; milliseconds *= 2) {
    if (await attempt(milliseconds)) return;
  }
  throw new Error(`not even within a minute: ${String(attempt)}`);
}

/** One request of a stream, read as an EventSource would, without reconnecting. */
export class SseClient implements AsyncDisposable {
  readonly response: Response;
  readonly events: ServerSentEvent[] = [];
  comments = 0;
  /** True once the server has ended the stream. */
  ended = false;
  lastEventId = "";
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
  }

  static async open(
    url: string,
    headers: Record<string, string> = {},
    tls: BunFetchRequestInit["tls"] = {},
  ): Promise<SseClient> {
    return await SseClient.with((init) => fetch(url, { ...init, tls }), headers);
  }

  /** @param send makes the request, with what stands in `init` */
  static async with(
    send: (init: RequestInit) => Promise<Response>,
    headers: Record<string, string> = {},
  ): Promise<SseClient> {
    const abort = new AbortController();
    const response = await send({
      headers: { accept: "text/event-stream", ...headers },
      signal: abort.signal,
    });
    const client = new SseClient(response, abort);
    void client.#read();
    return client;
  }

  async #read(): Promise<void> {
    const decoder = createDecoder({
      onEvent: (event) => this.events.push(event),
      onComment: () => this.comments++,
    });
    try {
      for await (const chunk of this.response.body!) {
        decoder.feed(chunk);
        this.lastEventId = decoder.lastEventId;
      }
    } catch {
      // Cut off, by us or by the server.
    }
    this.ended = true;
  }

  /** The data of the publishers' events. */
  get data(): string[] {
    return this.events.filter(({ type }) => !type.startsWith("sse:")).map(({ data }) => data);
  }

  /** The data of the hub's own events of a type, read from JSON. */
  control(type: string): Record<string, unknown>[] {
    return this.events
      .filter((event) => event.type === type)
      .map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  }

  /** Waits until so many of the publishers' events are here. */
  async receive(count: number): Promise<string[]> {
    await until(() => this.data.length >= count || this.ended);
    return this.data;
  }

  close(): void {
    this.#abort.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

export async function publish(url: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/publish`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
