import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { type Attachable, attachResponse, type MaybePromise } from "@sse/hub";
import { problem } from "./answers/problem.ts";
import type { RequestContext } from "./context.ts";
import { isHost } from "./request/host.ts";

type NodeRequest = IncomingMessage | Http2ServerRequest;
type NodeResponse = ServerResponse | Http2ServerResponse;

/** What a server of `node:http` or `node:http2` calls, and what Express and Connect call a middleware. */
export type NodeListener = (
  request: NodeRequest,
  response: NodeResponse,
  next?: (error?: Error) => void,
) => void;

/** A {@link Handler}, or what `events` makes, or any function of a request that has a `Response` for it. */
interface Answers {
  (request: Request, context: RequestContext): MaybePromise<Response>;
  has?(path: string): boolean;
}

/**
 * Makes a listener of a handler: `createServer(toNodeListener(createHandler({ hub })))`, `app.use(toNodeListener(...))` in Express,
 * `listener(ctx.req, ctx.res)` with `ctx.respond = false` in Koa; in Fastify
 * `app.addHook("onRequest", (request, reply, next) => listener(request.raw, reply.raw, next))`, which comes before Fastify
 * reads the body. HTTP/1.1 and HTTP/2.
 *
 * Streams go straight to the response. Where there is a `next`, paths that are not the handler's are passed on. A body that
 * `express.json()` has read is taken as it was parsed.
 */
export function toNodeListener(handler: Answers): NodeListener {
  return (request, response, next) => {
    if (next !== undefined && handler.has?.(pathOf(request)) === false) return next();
    answer(handler, request, response).catch((error: unknown) => {
      if (next !== undefined && !response.headersSent) next(error as Error);
      else {
        console.error(error);
        response.destroy();
      }
    });
  };
}

async function answer(handler: Answers, request: NodeRequest, response: NodeResponse): Promise<void> {
  let stream: { opening: Attachable; answer: Response } | null = null;
  const context: RequestContext = {
    address: request.socket?.remoteAddress,
    respond(opening, init) {
      stream = { opening, answer: new Response(null, init) };
      return stream.answer;
    },
  };
  const aborter = new AbortController();
  const abort = (): void => aborter.abort();
  response.on("close", abort);
  const given = readRequest(request, aborter.signal);
  const answered = given instanceof Response ? given : await handler(given, context);
  const { opening, answer: its } = stream ?? ({} as { opening?: Attachable; answer?: Response });
  if (opening !== undefined && its !== answered) opening.cancel(); // it was answered otherwise
  writeHead(request, response, answered);
  if (opening !== undefined && its === answered) {
    response.setTimeout(0); // heartbeats may be further apart than a server lets a connection be idle
    attachResponse(opening, response); // who leaves is told to the stream
  } else {
    response.end(new Uint8Array(await answered.arrayBuffer()));
    // A stream that has no body to write has no "finish", and the response has its own only once the client has ended, too.
    if ("stream" in response && isBodyOpen(request)) closeSoon(request, response);
  }
  response.off("close", abort); // an answer that was given is not aborted, and nothing is kept of the request
}

/** Header fields that a connection has, which HTTP/2 has none of (RFC 9113, 8.2.2). */
const OF_CONNECTION = "connection";

function writeHead(request: NodeRequest, response: NodeResponse, { status, headers }: Response): void {
  const isHttp2 = request.httpVersionMajor === 2;
  response.statusCode = status;
  for (const [name, value] of headers)
    if (!isHttp2 || name !== OF_CONNECTION) response.setHeader(name, value);
  if (!isBodyOpen(request)) return;
  // The rest of it is not waited for.
  if ("stream" in response) response.stream.on("finish", () => closeSoon(request, response));
  else response.setHeader(OF_CONNECTION, "close");
}

/**
 * Closes a stream of HTTP/2 whose client does not, once it has been answered. Clients in wide use take a stream that is closed amid
 * their body for a failure, and drop the answer, which they must not (RFC 9113, 8.1): they are given the time to end it.
 */
function closeSoon(request: NodeRequest, { stream }: Http2ServerResponse): void {
  request.resume();
  const timer = setTimeout(() => stream.close(), BODY_TIME);
  stream.on("close", () => clearTimeout(timer));
}

/** In milliseconds: how long a body that nobody reads may go on after the answer. */
const BODY_TIME = 1000;

/** Whether some of the body may be yet to come, whatever the method. */
function isBodyOpen(request: NodeRequest): boolean {
  if (request.complete) return false;
  if ("stream" in request) return !request.stream.endAfterHeaders;
  const { "transfer-encoding": coding, "content-length": length = "0" } = request.headers;
  return coding !== undefined || length !== "0";
}

function isBodyless({ method }: NodeRequest): boolean {
  return method === "GET" || method === "HEAD";
}

/** The path as it is known here: Express leaves out what a middleware is mounted at. */
function pathOf({ url = "/" }: NodeRequest): string {
  return url.replace(/[?#].*/s, "");
}

/** Of a request of Fetch, whose type Bun and Node name differently. */
type Body = ConstructorParameters<typeof Response>[0] | null;

/** As a request of Fetch; or, when it cannot be one, why not. */
function readRequest(request: NodeRequest, signal: AbortSignal): Request | Response {
  const headers = new Headers();
  let body: Body = null;
  try {
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      const name = request.rawHeaders[at]!;
      if (!name.startsWith(":")) headers.append(name, request.rawHeaders[at + 1]!);
    }
    const authority = "authority" in request ? request.authority : undefined;
    if (authority !== undefined && !headers.has("host")) headers.set("host", authority);
    if (!isBodyless(request)) body = bodyOf(request, headers);
    const method = request.method ?? "GET";
    return new Request(urlOf(request, headers), {
      method,
      headers,
      body,
      signal,
      duplex: "half",
    });
  } catch (error) {
    if (error instanceof BodyIsGone) {
      console.error(
        "the body of a request to publish was read before it came here: mount this before what reads bodies",
      );
      return problem(500, "the server failed to read the body of this request; its log says why");
    }
    return problem(400, `this is no request that can be answered: ${(error as Error).message}`);
  }
}

function urlOf(request: NodeRequest, headers: Headers): string {
  const { url = "/" } = request;
  if (/^https?:\/\//i.test(url)) return url; // as proxies are asked (RFC 9112, 3.2.2)
  const isTls = "encrypted" in request.socket && request.socket.encrypted;
  const path = url.startsWith("/") ? url : `/${url}`;
  const host = headers.get("host") ?? "localhost";
  if (!isHost(host)) throw new TypeError("its Host is none");
  return `${isTls ? "https" : "http"}://${host}${path}`;
}

/** Somebody has read it, and has not left what was in it. */
class BodyIsGone extends Error {}

/** @throws BodyIsGone */
function bodyOf(request: NodeRequest, headers: Headers): Body {
  if (!request.readableDidRead) return streamOf(request);
  const { body } = request as { body?: unknown };
  if (body === undefined) throw new BodyIsGone();
  // They describe what was sent: a parser has decompressed it, and JSON written anew has another length.
  headers.delete("content-encoding");
  headers.delete("content-length");
  if (typeof body === "string" || body instanceof Uint8Array) return body as Body;
  return JSON.stringify(body);
}

/**
 * What has come is read at once, however many chunks it came in: one after the other, chunks of a byte took the loop for seconds.
 */
function streamOf(request: NodeRequest): ReadableStream<Uint8Array> {
  let isDone = false;
  let isAsked = false;
  const finish = (end: () => void): void => {
    if (isDone) return;
    isDone = true;
    end();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const cutOff = (): void => finish(() => controller.error(new DOMException("cut off", "AbortError")));
        request.on("readable", () => {
          if (isAsked) read(controller);
        });
        request.on("end", () => finish(() => controller.close()));
        request.on("error", cutOff);
        request.on("close", cutOff);
      },
      pull(controller) {
        isAsked = true;
        read(controller);
      },
      cancel: () => finish(() => {}),
    },
    { highWaterMark: 0 },
  );

  function read(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const bytes = request.read() as Uint8Array | null;
    if (bytes === null || isDone) return;
    isAsked = false;
    controller.enqueue(bytes);
  }
}
