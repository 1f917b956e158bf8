import { Refusal } from "./problem.ts";

/**
 * Refuses a request that a page of another origin makes a browser send. A browser sends a plain-text POST without asking
 * first (Fetch, "CORS-safelisted"), so that any site could publish here in the name of whoever visits it.
 *
 * @param origins the origins that may, besides the server's own
 * @throws Refusal 403
 */
export function requireKnownOrigin(request: Request, origins: readonly string[]): void {
  const origin = request.headers.get("origin");
  if (origin === null || isKnown(origin, request, origins)) return; // no browser, or a page that was let in
  throw new Refusal(
    403,
    `pages of ${origin.slice(0, 256)} may not publish here; the server has to be told to allow them`,
  );
}

/**
 * Refuses a request that a page of another origin makes a browser send, with the cookie that the browser adds by itself.
 * A browser leaves `Origin` out of a GET to the page's own origin, but then says so in `Sec-Fetch-Site`; what says
 * neither is refused, because nothing shows where it is from.
 *
 * @param origins the origins that may, besides the server's own
 * @throws Refusal 403
 */
export function requireOwnPage(request: Request, origins: readonly string[]): void {
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  // "none": an address that the user has typed.
  if (origin === null ? site === "same-origin" || site === "none" : isKnown(origin, request, origins)) return;
  throw new Refusal(
    403,
    "the cookie counts only in requests of the server's own pages, or of origins that it was told to allow, over " +
      "https or on this machine; others have to send their token in the header Authorization",
  );
}

function isKnown(origin: string, request: Request, origins: readonly string[]): boolean {
  if (origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === request.headers.get("host");
}
