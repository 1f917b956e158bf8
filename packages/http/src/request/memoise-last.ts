/** What requests in thousands have is short; a long text, and what it is parsed into, is not kept. */
const MAX_LENGTH = 4096;

/** Parses a text again only when it differs from the last one: requests that come in thousands are alike. */
export function memoiseLast<T>(parse: (text: string) => T): (text: string) => T {
  let last: { text: string; value: T } | null = null;
  return (text) => {
    if (text.length > MAX_LENGTH) return parse(text);
    if (last?.text !== text) last = { text, value: parse(text) };
    return last.value;
  };
}
