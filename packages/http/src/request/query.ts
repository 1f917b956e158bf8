import { nearestName } from "./nearest-name.ts";
import { Refusal } from "../answers/problem.ts";

/** Read from the text of the URL: without a `Host` header, as in HTTP/1.0, it is a path only. */
export function queryOf(url: string): string {
  const start = url.indexOf("?");
  return start === -1 ? "" : url.slice(start + 1);
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

/** URLSearchParams would take what is not for other characters, and different names for one. */
function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
