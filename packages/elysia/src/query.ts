import { Refusal } from "./problem.ts";

/** Read from the text of the URL: without a `Host` header, as in HTTP/1.0, it is a path only. */
export function queryOf(url: string): string {
  const start = url.indexOf("?");
  return start === -1 ? "" : url.slice(start + 1);
}

/** Reads a text anew only when it is not the one of the last time: when requests come in thousands, they are alike. */
export function remembering<T>(read: (text: string) => T): (text: string) => T {
  let last: { text: string; value: T } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, value: read(text) };
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
 * The query's parameters.
 *
 * @param repeatable the parameters that may be given several times
 * @throws Refusal 400 for a parameter that is not known, which may be a misspelt one, or given twice
 */
export function readQuery(
  text: string,
  known: readonly string[],
  repeatable: readonly string[] = [],
): URLSearchParams {
  if (!isEncoded(text)) throw new Refusal(400, "the query is not UTF-8 in percent-encoding");
  const query = new URLSearchParams(text);
  for (const name of query.keys()) {
    if (!known.includes(name)) {
      throw new Refusal(
        400,
        `unknown parameter ${JSON.stringify(name.slice(0, 64))}; known ${known.length > 0 ? `are ${known.join(", ")}` : "is none here"}`,
      );
    }
    if (!repeatable.includes(name) && query.getAll(name).length > 1) {
      throw new Refusal(400, `${name} is given twice; there can be one`);
    }
  }
  return query;
}
