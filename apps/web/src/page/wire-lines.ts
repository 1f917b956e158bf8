/** One line of the wire, with what it means to a client. */
export interface WireLine {
  /** Bytes before it in its block. */
  readonly offset: number;
  readonly text: string;
  readonly end: "LF" | "CR" | "CRLF" | "";
  readonly meaning: string;
}

const LF = 10;
const CR = 13;
const END_BYTES = { LF: 1, CR: 1, CRLF: 2, "": 0 } as const;

/** The lines of a block as they were sent, explained by the rules of WHATWG HTML 9.2.6. */
export function wireLines(block: Uint8Array): WireLine[] {
  const decoder = new TextDecoder();
  const lines: WireLine[] = [];
  let start = 0;
  while (start < block.length) {
    let at = start;
    while (at < block.length && block[at] !== LF && block[at] !== CR) at++;
    const end = at === block.length ? "" : block[at] === LF ? "LF" : block[at + 1] === LF ? "CRLF" : "CR";
    const text = decoder.decode(block.subarray(start, at));
    const isFirstData = !lines.some((line) => line.text.startsWith("data"));
    lines.push({ offset: start, text, end, meaning: meaningOf(text, isFirstData) });
    start = at + END_BYTES[end];
  }
  return lines;
}

function meaningOf(line: string, isFirstData: boolean): string {
  if (line === "") return "A blank line: the event is complete, and is dispatched if it has data.";
  if (line.startsWith(":")) return "A comment: it keeps the connection alive, and no event comes of it.";
  const colon = line.indexOf(":");
  const [name, value] =
    colon === -1 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
  switch (name) {
    case "data":
      return isFirstData ? "The data." : "More data: the lines are joined by a line end.";
    case "event":
      return value === ""
        ? "No type: the event is a message."
        : `The type, which addEventListener("${value}") hears.`;
    case "id":
      return "The cursor: a client that drops sends it back as Last-Event-ID.";
    case "retry":
      return `How long to wait before a reconnect: ${value} ms.`;
    default:
      return "No field of the standard: ignored.";
  }
}
