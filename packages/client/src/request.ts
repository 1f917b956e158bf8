import { CONTENT_TYPE } from "@sse/protocol";
import type { Attempt, ConnectionOptions } from "./options.ts";

/** The request of one attempt (WHATWG HTML 9.2.2 and 9.2.4), as far as `fetch` lets a script make it. */
export async function requestOf(
  options: ConnectionOptions,
  attempt: Attempt,
  lastEventId: string,
): Promise<RequestInit> {
  const { headers, body, withCredentials, method } = options;
  const all = new Headers({ accept: CONTENT_TYPE });
  // A browser adds it by itself, for `no-store`; as a script's header it would need a preflight across origins.
  if ((globalThis as { location?: unknown }).location === undefined) all.set("cache-control", "no-cache");
  if (lastEventId !== "" && !UNSENDABLE.test(lastEventId)) all.set("last-event-id", bytesOf(lastEventId));
  const given = typeof headers === "function" ? await headers(attempt) : headers;
  for (const [name, value] of Object.entries(given ?? {})) if (value != null) all.set(name, value);
  const init: RequestInit = {
    headers: all,
    cache: "no-store",
    credentials: withCredentials ? "include" : "same-origin",
  };
  if (method !== undefined) init.method = method;
  if (body !== undefined) init.body = typeof body === "function" ? await body(attempt) : body;
  return init;
}

/** Parameters do not matter, not even the charset: a stream is UTF-8 (WHATWG HTML 9.2.5). */
export function isEventStream(headers: Headers): boolean {
  return (headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase() === CONTENT_TYPE;
}

/** A header is bytes to `fetch`, one to a character: of the id's UTF-8 here (WHATWG HTML 9.2.4). */
function bytesOf(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

/** Control bytes that some runtimes refuse in a header; with them every reconnect would fail. */
const UNSENDABLE = /[^\P{Cc}\t\x80-\x9f]/u;
