import { nearestName } from "./nearest-name.ts";
import { Refusal } from "./problem.ts";

/** Read from the text of the URL: without a `Host` header, as in HTTP/1.0, it is a path only. */
export function queryOf(url: string): string {
  const start = url.indexOf("?");
  return start === -1 ? "" : url.slice(start + 1);
}

/** Parses a text again only when it differs from the last one: requests that come in thousands are alike. */
export function memoiseLast<T>(parse: (text: string) => T): (text: string) => T {
  let last: { text: string; value: T } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, value: parse(text) };
    return last.value;
  };
}

/** URLSearchParams would take what is not for other characters, and different names for one. */
function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * The query's known parameters. Others are ignored, because proxies, gateways and libraries add their own (`_`, `utm_source`),
 * unless the name is a known one misspelt.
 *
 * @param misplaced names that the request has elsewhere, and that are lost in the query
 * @throws Refusal 400 for a misspelt or a misplaced parameter
 */
export function readQuery(
  text: string,
  known: readonly string[],
  misplaced: readonly string[] = [],
): URLSearchParams {
  if (!isEncoded(text)) throw new Refusal(400, "the query is not UTF-8 in percent-encoding");
  const query = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(text)) {
    if (known.includes(name)) {
      query.append(name, value);
      continue;
    }
    if (misplaced.includes(name)) throw new Refusal(400, `${name} is not for the query of this request`);
    const meant = nearestName(name, [...known, ...misplaced]);
    if (meant === null) continue;
    throw new Refusal(400, `unknown parameter ${JSON.stringify(name)}; did you mean ${meant}?`);
  }
  return query;
}

/** The value of a parameter. Where it comes twice, the last counts: wrappers append theirs to a URL that already has one. */
export function lastValue(query: URLSearchParams, name: string): string | null {
  return query.getAll(name).at(-1) ?? null;
}

/** The cursor in a query; "" for none. An empty one is of a client that has seen no event yet, and no cursor. */
export function queryCursor(query: URLSearchParams): string {
  return query.getAll("lastEventId").findLast((id) => id !== "") ?? "";
}

/** As {@link queryCursor}, in the header, where Fetch joins two into one value. */
export function headerCursor({ headers }: Request): string {
  const given = headers.get("last-event-id");
  if (given === null || !given.includes(",")) return given ?? "";
  return (
    given
      .split(",")
      .map((id) => id.trim())
      .findLast((id) => id !== "") ?? ""
  );
}
