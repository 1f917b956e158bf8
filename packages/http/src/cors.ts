import { emptyAnswer } from "./answers/json.ts";

const METHODS = "GET, HEAD, POST";
const HEADERS = ["Content-Type", "Last-Event-ID", "Authorization"];
/** What a client looks at besides the body. */
const EXPOSED = "Retry-After, WWW-Authenticate, Link";
/** How long a browser may remember an answer, in seconds. */
const MAX_AGE = "86400";

/** Lets pages of listed origins in (Fetch, "CORS protocol"). Others are told nothing, and browsers refuse them. */
export class Cors {
  readonly #origins: readonly string[];
  readonly #headers: string;

  /** @param headers that pages may send besides those of the contract */
  constructor(origins: readonly string[], headers: readonly string[]) {
    this.#origins = origins;
    this.#headers = [...HEADERS, ...headers].join(", ");
  }

  /** The answer to what a browser asks before a request; null where that is not what is asked. */
  answerPreflight(request: Request, allow: string): Response | null {
    const isPreflight = request.method === "OPTIONS" && request.headers.has("access-control-request-method");
    if (!isPreflight || !this.#isListed(request)) return null;
    return emptyAnswer({
      allow,
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": this.#headers,
      "access-control-max-age": MAX_AGE,
    });
  }

  /** Lets the page that has asked read the answer, where its origin is listed. */
  allow(request: Request, response: Response): Response {
    const { headers } = response;
    headers.append("vary", "Origin");
    if (!this.#isListed(request)) return response;
    headers.set("access-control-allow-origin", request.headers.get("origin")!);
    headers.set("access-control-allow-credentials", "true");
    headers.set("access-control-expose-headers", EXPOSED);
    return response;
  }

  #isListed({ headers }: Request): boolean {
    const origin = headers.get("origin");
    return origin !== null && this.#origins.includes(origin);
  }
}
