import type { Pattern, SelectorSet } from "./topic.ts";

/**
 * The first of the requested selectors that selects a topic which the granted ones do not; null when there is none.
 *
 * Exact: it also finds what granted selectors cover only together, as one for two segments and one for three or more
 * cover `a/**`.
 */
export function firstUncovered(granted: SelectorSet, requested: SelectorSet): string | null {
  if (granted.selectsAll) return null;
  const topic = requested.topics.find((each) => !granted.matches(each));
  if (topic !== undefined) return topic;
  const pattern = requested.patterns.find((each) => !isCovered(granted.patterns, each));
  return pattern === undefined ? null : [...pattern.segments, ...(pattern.rest ? ["**"] : [])].join("/");
}

/**
 * A pattern of fixed length holds topics with segments that no other selector names, so that only one pattern which
 * covers it alone covers it at all. One that ends in `**` is the union of those with one segment more, two more, and so
 * on; once they are longer than every granted pattern they are all covered by the same ones.
 */
function isCovered(granted: readonly Pattern[], { segments, rest }: Pattern): boolean {
  if (!rest) return granted.some((each) => coversLength(each, segments));
  if (granted.some((each) => each.rest && coversLength(each, [...segments, "*"]))) return true;
  const longest = granted.reduce((most, each) => Math.max(most, each.segments.length), 0);
  const longer = [...segments];
  do {
    longer.push("*");
    if (!granted.some((each) => coversLength(each, longer))) return false;
  } while (longer.length <= longest);
  return true;
}

function coversLength({ segments, rest }: Pattern, requested: readonly string[]): boolean {
  if (rest ? requested.length <= segments.length : requested.length !== segments.length) return false;
  return segments.every((segment, index) => segment === "*" || segment === requested[index]);
}
