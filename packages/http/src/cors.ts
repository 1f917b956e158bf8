import { emptyAnswer } from "./answers/json.ts";

/* Requests of pages of other origins that are listed (Fetch, "CORS protocol"). Of others nothing is said, and browsers refuse them. */

const METHODS = "GET, HEAD, POST";
const HEADERS = "Content-Type, Last-Event-ID, Authorization";
/** What a client looks at besides the body. */
const EXPOSED = "Retry-After, WWW-Authenticate, Link";
/** How long a browser may remember an answer, in seconds. */
const MAX_AGE = "86400";

/** The answer to what a browser asks before it sends a request of a page of another origin; null where it does not. */
export function answerPreflight(
  request: Request,
  origins: readonly string[],
  allow: string,
): Response | null {
  const isPreflight = request.method === "OPTIONS" && request.headers.has("access-control-request-method");
  if (!isPreflight || !isListed(request, origins)) return null;
  return emptyAnswer({
    allow,
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": HEADERS,
    "access-control-max-age": MAX_AGE,
  });
}

/** Lets the page that has asked read the answer, where its origin is listed. */
export function allowOrigin(request: Request, response: Response, origins: readonly string[]): Response {
  const { headers } = response;
  headers.append("vary", "Origin");
  if (!isListed(request, origins)) return response;
  headers.set("access-control-allow-origin", request.headers.get("origin")!);
  headers.set("access-control-allow-credentials", "true");
  headers.set("access-control-expose-headers", EXPOSED);
  return response;
}

function isListed({ headers }: Request, origins: readonly string[]): boolean {
  const origin = headers.get("origin");
  return origin !== null && origins.includes(origin);
}
