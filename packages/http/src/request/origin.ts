import { Refusal } from "../answers/problem.ts";

/**
 * Refuses a request that a page of another origin makes a browser send. A browser sends a plain-text POST without asking
 * first (Fetch, "CORS-safelisted"), so that any site could publish here in the name of whoever visits it.
 *
 * @param origins the origins that may, besides the server's own
 * @throws Refusal 403
 */
export function requireKnownOrigin(request: Request, origins: readonly string[]): void {
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  // No browser, or one that says that no other page has sent it.
  if (origin === null ? site === null || isOwnSite(site) : isKnown(origin, site, request, origins)) return;
  const who = origin === null ? "another origin" : origin.slice(0, 256);
  throw new Refusal(403, `pages of ${who} are not allowed here; list the origin to allow them`);
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
  if (origin === null ? isOwnSite(site) : isKnown(origin, site, request, origins)) return;
  throw new Refusal(
    403,
    "the cookie counts only in requests of the server's own pages, or of origins that it was told to allow, over " +
      "https or on this machine; others have to send their token in the header Authorization",
  );
}

/** Whether the browser says that the page is of the same origin, or that the user has typed the address ("none"). */
function isOwnSite(site: string | null): boolean {
  return site === "same-origin" || site === "none";
}

function isKnown(origin: string, site: string | null, request: Request, origins: readonly string[]): boolean {
  if (origins.includes(origin)) return true;
  if (site !== null && !isOwnSite(site)) return false;
  const { url } = request;
  if (origin === originOf(url)) return true;
  // Where a proxy ends the TLS, this server sees http. Then the browser's word is needed: to it, http and https are two sites.
  return site === "same-origin" && url.startsWith("http:") && origin === originOf(`https:${url.slice(5)}`);
}

/** Scheme, host and port, as a browser writes them; null for a request that names no host. */
function originOf(url: string): string | null {
  return URL.parse(url)?.origin ?? null;
}
