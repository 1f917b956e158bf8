import type { SelectorSet } from "../../topics/topic.ts";

/** What every topic begins with that these select. */
export function commonPrefix({ topics, patterns }: SelectorSet): string {
  const starts = patterns.map(({ segments, rest }) => {
    const wild = segments.indexOf("*");
    const fixed = wild === -1 ? segments : segments.slice(0, wild);
    return fixed.join("/") + (fixed.length > 0 && (wild !== -1 || rest) ? "/" : "");
  });
  const all = [...topics, ...starts].toSorted();
  const [low, high] = [all[0]!, all.at(-1)!];
  let length = 0;
  while (length < low.length && low[length] === high[length]) length++;
  if (/[\uD800-\uDBFF]/.test(low[length - 1] ?? "")) length--; // not in the middle of a character
  return low.slice(0, length);
}
