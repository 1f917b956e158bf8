/** Reads control events that come as comments: hands them on as events, with their id and everything, to be checked as such. */
export class CommentReader {
  /** Of a line whose end has yet to come, a character for each byte. */
  #rest = "";

  /** @throws Error for a control event that is no comment */
  read(piece: Uint8Array): Uint8Array {
    const text = this.#rest + Buffer.from(piece).toString("latin1");
    const end = text.lastIndexOf("\n") + 1;
    this.#rest = text.slice(end);
    const lines = text.slice(0, end);
    if (/^event: sse:/m.test(lines)) throw new Error("a control event is no comment");
    return Buffer.from(lines.replace(/^: (sse:[a-z]+) (.*)\n/gm, "event: $1\ndata: $2\n"), "latin1");
  }
}
