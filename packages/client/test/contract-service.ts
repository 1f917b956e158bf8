import { EventSource, type EventSourceErrorEvent, type EventSourceInit } from "../src/index.ts";

/*
 * The client as LaunchDarkly's sse-contract-tests drive it (github.com/launchdarkly/sse-contract-tests, "contract
 * tests"): their harness plays the server, and is told over HTTP of everything that the client sees. `PORT` is where
 * this listens; default 8000.
 */

const CAPABILITIES = [
  "bom",
  "comments",
  "headers",
  "last-event-id",
  "post",
  "read-timeout",
  "report",
  "restart",
];

/** How the harness wants a stream to be opened. */
interface StreamParameters {
  readonly streamUrl: string;
  readonly callbackUrl: string;
  readonly initialDelayMs?: number;
  readonly readTimeoutMs?: number;
  readonly lastEventId?: string;
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly body?: string;
}

/** An EventSource that tells the harness of all events, whatever their type. */
class ReportingSource extends EventSource {
  readonly #report: (message: object) => void;
  #attempt = new AbortController();

  constructor({ streamUrl, callbackUrl, initialDelayMs, readTimeoutMs, ...request }: StreamParameters) {
    const report = reporter(callbackUrl);
    const init: EventSourceInit = {
      ...request,
      retry: initialDelayMs,
      maxSilence: readTimeoutMs,
      jitter: null,
      onComment: (comment) => report({ kind: "comment", comment }),
      fetch: (url, { signal, ...rest }) => {
        this.#attempt = new AbortController();
        return fetch(url, { ...rest, signal: AbortSignal.any([signal!, this.#attempt.signal]) });
      },
    };
    super(streamUrl, init);
    this.#report = report;
  }

  /** Loses the connection, as a broken network would. */
  restart(): void {
    this.#attempt.abort();
  }

  override dispatchEvent(event: Event): boolean {
    if (event instanceof MessageEvent) {
      const { type, data, lastEventId: id } = event as MessageEvent<string>;
      this.#report({ kind: "event", event: { type, data, id } });
    } else if (event.type === "error") {
      const { code, status } = event as EventSourceErrorEvent;
      this.#report({ kind: "error", error: `${code} ${status ?? ""}` });
    }
    return super.dispatchEvent(event);
  }
}

/** Posts what is reported in its order, to the callback's URL and a number that grows. */
function reporter(callbackUrl: string): (message: object) => void {
  let count = 0;
  let last: Promise<unknown> = Promise.resolve();
  return (message) => {
    const url = `${callbackUrl}/${++count}`;
    const headers = { "content-type": "application/json" };
    last = last
      .then(() => fetch(url, { method: "POST", headers, body: JSON.stringify(message) }))
      .catch((error: unknown) => console.error(`the harness is gone: ${String(error)}`));
  };
}

const sources = new Map<string, ReportingSource>();
let opened = 0;

async function handle(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const source = sources.get(pathname);
  const route = `${request.method} ${source === undefined ? pathname : "stream"}`;
  switch (route) {
    case "GET /":
      return Response.json({ name: "@sse/client", capabilities: CAPABILITIES });
    case "POST /": {
      const location = `/streams/${++opened}`;
      sources.set(location, new ReportingSource((await request.json()) as StreamParameters));
      return new Response(null, { status: 201, headers: { location } });
    }
    case "DELETE /":
      // After the answer.
      setTimeout(() => process.exit(0), 10);
      return new Response(null, { status: 204 });
    case "POST stream": {
      const { command } = (await request.json()) as { command: string };
      if (command !== "restart") return new Response(`no such command: ${command}`, { status: 400 });
      source!.restart();
      return new Response(null, { status: 202 });
    }
    case "DELETE stream":
      source!.close();
      sources.delete(pathname);
      return new Response(null, { status: 204 });
    default:
      return new Response("not here", { status: 404 });
  }
}

const server = Bun.serve({ port: Number(Bun.env["PORT"] ?? 8000), hostname: "127.0.0.1", fetch: handle });
console.log(`listening at ${server.url.href}`);
