import { describe, expect, test } from "bun:test";
import { requireKnownOrigin, requireOwnPage } from "./origin.ts";
import { Refusal } from "../answers/problem.ts";

const LISTED = ["https://app.example"];

type Sent = Record<string, string>;
const sent = (origin: string | null, site: string | null): Sent => ({
  ...(origin !== null && { origin }),
  ...(site !== null && { "sec-fetch-site": site }),
});

function passes(check: typeof requireKnownOrigin, url: string, headers: Sent): boolean {
  try {
    check(new Request(url, { headers }), LISTED);
    return true;
  } catch (error) {
    expect((error as Refusal).status).toBe(403);
    return false;
  }
}

const [HTTP, TLS] = ["http://hub.example/publish", "https://hub.example/publish"];

// Who asks, and whether it may do what takes no cookie, and use a cookie.
test.each<[string, string | null, string | null, boolean, boolean]>([
  // No browser says neither.
  [TLS, null, null, true, false],
  [TLS, null, "same-origin", true, true],
  [TLS, null, "none", true, true],
  [TLS, null, "same-site", false, false],
  [TLS, null, "cross-site", false, false],
  [TLS, null, "", false, false],
  [TLS, null, "same-origin, cross-site", false, false],
  [TLS, null, "Same-Origin", false, false],
  // Its own page.
  [TLS, "https://hub.example", null, true, true],
  [TLS, "https://hub.example", "same-origin", true, true],
  [HTTP, "http://hub.example", null, true, true],
  [HTTP, "http://hub.example", "same-origin", true, true],
  // Of another scheme.
  [TLS, "http://hub.example", null, false, false],
  [TLS, "http://hub.example", "same-origin", false, false],
  [TLS, "http://hub.example", "cross-site", false, false],
  [HTTP, "https://hub.example", null, false, false],
  [HTTP, "https://hub.example", "cross-site", false, false],
  [HTTP, "https://hub.example", "none", false, false],
  // Behind a proxy that ends the TLS, by the word of the browser.
  [HTTP, "https://hub.example", "same-origin", true, true],
  [HTTP, "https://hub.example:8443", "same-origin", false, false],
  [HTTP, "https://evil.example", "same-origin", false, false],
  ["http://hub.example:8443/", "https://hub.example:8443", "same-origin", true, true],
  ["http://hub.example:443/", "https://hub.example", "same-origin", true, true],
  // Of another port, or the same one in another spelling.
  [TLS, "https://hub.example:8443", null, false, false],
  [TLS, "https://hub.example:443", null, false, false], // no browser writes it
  ["https://hub.example:443/", "https://hub.example", null, true, true],
  ["http://hub.example:80/", "http://hub.example", null, true, true],
  ["http://hub.example:443/", "http://hub.example", null, false, false],
  ["http://hub.example:3000/", "http://hub.example:3000", null, true, true],
  // Of another host.
  [TLS, "https://evil.example", null, false, false],
  [TLS, "https://evil.example", "same-origin", false, false],
  [TLS, "https://hub.example.evil.example", null, false, false],
  [TLS, "https://evilhub.example", null, false, false],
  [TLS, "https://www.hub.example", "same-site", false, false],
  [TLS, "https://hub.example.", null, false, false],
  ["https://hub.example./", "https://hub.example.", null, true, true],
  ["https://hub.example./", "https://hub.example", null, false, false],
  ["http://[::1]:3000/", "http://[::1]:3000", null, true, true],
  ["http://[0:0::1]:3000/", "http://[::1]:3000", null, true, true],
  ["http://[::1]:3000/", "http://localhost:3000", null, false, false],
  ["http://127.0.0.1:3000/", "http://127.0.0.1:3000", "same-origin", true, true],
  ["https://xn--bcher-kva.example/", "https://xn--bcher-kva.example", null, true, true],
  ["https://bücher.example/", "https://xn--bcher-kva.example", null, true, true],
  ["https://HUB.example/", "https://hub.example", null, true, true],
  // What is no origin that a browser writes.
  [TLS, "null", null, false, false],
  [TLS, "null", "same-origin", false, false],
  [TLS, "", null, false, false],
  [TLS, "HTTPS://HUB.EXAMPLE", null, false, false],
  [TLS, "https://hub.example/", null, false, false],
  [TLS, "https://user@hub.example", null, false, false],
  [TLS, "https://hub.example, https://hub.example", null, false, false],
  [TLS, "https://hub.example, https://evil.example", null, false, false],
  [TLS, "https://evil.example, https://app.example", null, false, false],
  [TLS, "file://", null, false, false],
  [TLS, "chrome-extension://abcdef", "none", false, false],
  // A listed one, wherever it says that it is.
  [TLS, "https://app.example", null, true, true],
  [TLS, "https://app.example", "cross-site", true, true],
  [TLS, "https://app.example", "same-site", true, true],
  [TLS, "http://app.example", null, false, false],
  [TLS, "https://app.example:8443", null, false, false],
])("%s from %p, %p", (url, origin, site, known, own) => {
  expect(passes(requireKnownOrigin, url, sent(origin, site))).toBe(known);
  expect(passes(requireOwnPage, url, sent(origin, site))).toBe(own);
});

describe("a request that names no host", () => {
  test("has no own origin", () => {
    const request = { url: "/publish", headers: new Headers({ origin: "http://hub.example" }) } as Request;
    expect(() => requireKnownOrigin(request, LISTED)).toThrow(Refusal);
    expect(() => requireOwnPage(request, LISTED)).toThrow(Refusal);
  });
});
