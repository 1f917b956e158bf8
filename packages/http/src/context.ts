import { type Attachable, directStream, webStream } from "@sse/hub";

/** What is known of a request besides itself. */
export interface RequestContext {
  /** The address of its peer; default: not known, and then nothing is counted by it. */
  readonly address?: string | undefined;
  /** Makes the response of a stream; default: with a body that the runtime can send. */
  readonly respond?: ((opening: Attachable, init: ResponseInit) => Response) | undefined;
}

/** What `Bun.serve` hands to `fetch` besides the request. */
export interface BunServer {
  /** Whether a stream that is cut is told of on standard error. */
  readonly development: boolean;
  /** The peer's address; null when it has gone. */
  requestIP(request: Request): { readonly address: string } | null;
  /** How long the connection may be idle, in seconds; 0: for ever. */
  timeout(request: Request, seconds: number): void;
}

/** What `Deno.serve` hands to its handler besides the request. */
export interface DenoInfo {
  /** The peer's. */
  readonly remoteAddr: { readonly transport?: string; readonly hostname?: string };
}

/** What a server hands to a handler besides the request. Others are not known, and tell nothing. */
export type ServerContext = RequestContext | BunServer | DenoInfo | {} | null | undefined;

/** What the server's own words say. */
export function contextOf(request: Request, given: ServerContext): RequestContext {
  if (typeof given !== "object" || given === null) return UNKNOWN;
  if ("requestIP" in given) return new BunContext(request, given);
  if ("remoteAddr" in given) return { address: given.remoteAddr.hostname };
  return given;
}

const isBun = "Bun" in globalThis;
const isDeno = "Deno" in globalThis;

/** The response of a stream where its server says nothing else. */
export function respond(request: Request, opening: Attachable, init: ResponseInit): Response {
  if (isBun) return new Response(directStream(opening), init);
  // Deno cancels the stream when the client has left, and warns of who asks for the signal.
  return new Response(webStream(opening, isDeno ? {} : request), init);
}

/** Of a request of which nothing else is known. */
export const UNKNOWN: RequestContext = Object.freeze({});

class BunContext implements RequestContext {
  readonly #request: Request;
  readonly #server: BunServer;

  constructor(request: Request, server: BunServer) {
    this.#request = request;
    this.#server = server;
  }

  /** Asked only where something is counted. */
  get address(): string | undefined {
    return this.#server.requestIP(this.#request)?.address;
  }

  /** Bun ends a connection on which nothing is sent for 10 seconds: heartbeats may be further apart. */
  respond(opening: Attachable, init: ResponseInit): Response {
    this.#server.timeout(this.#request, 0);
    return new Response(directStream(opening, this.#server.development), init);
  }
}
