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
  if (origin === null || origins.includes(origin)) return; // no browser, or a page that was let in
  if (URL.canParse(origin) && new URL(origin).host === request.headers.get("host")) return;
  throw new Refusal(
    403,
    `pages of ${origin.slice(0, 256)} may not publish here; the server has to be told to allow them`,
  );
}
