import { describe, expect, test } from "bun:test";
import { encodeComment, encodeEvent } from "@sse/protocol";
import { wireLines } from "./wire-lines.ts";
import { MAX_RAW_BYTES, WireSplitter } from "./wire-splitter.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (block: Uint8Array) => new TextDecoder().decode(block);

/** The blocks that pieces of the stream belong to, as a reader sees them. */
function split(stream: string, size: number): string[] {
  const blocks: string[] = [];
  const splitter = new WireSplitter();
  const all = bytes(stream);
  for (let at = 0; at < all.length; at += size) {
    for (const piece of splitter.pieces(all.subarray(at, at + size))) {
      if (splitter.size > piece.length) blocks.pop();
      blocks.push(text(splitter.raw));
    }
  }
  return blocks;
}

describe("blocks", () => {
  test.each([1, 2, 3, 5, 1_000])("are what stands between blank lines, in pieces of %d bytes", (size) => {
    const stream = `retry: 5\n\n${encodeEvent({ data: "ä\nb", id: "1" })}id: 2\r\ndata: rest\r\n\r\nunfinished`;
    expect(split(stream, size)).toEqual([
      "retry: 5\n\n",
      "data: ä\ndata: b\nid: 1\n\n",
      "id: 2\r\ndata: rest\r\n\r\n",
      "unfinished",
    ]);
  });

  test.each([1, 2, 3, 4, 1_000])(
    "do not hold the comments before an event, in pieces of %d bytes",
    (size) => {
      const stream = `${encodeComment()}: a\n\ndata: 1\n: within\ndata: 2\n\n${encodeComment()}data: 3\n\n`;
      expect(split(stream, size)).toEqual([
        ":\n",
        ": a\n",
        "\n",
        "data: 1\n: within\ndata: 2\n\n",
        ":\n",
        "data: 3\n\n",
      ]);
    },
  );

  test("are kept in part when they are large, and counted whole", () => {
    const splitter = new WireSplitter();
    const stream = bytes(`data: ${"x".repeat(2 * MAX_RAW_BYTES)}\n\n`);
    const pieces = [...splitter.pieces(stream.subarray(0, 7)), ...splitter.pieces(stream.subarray(7))];
    expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBe(stream.length);
    expect(splitter.size).toBe(stream.length);
    expect(splitter.raw).toEqual(stream.subarray(0, MAX_RAW_BYTES));
  });
});

describe("lines", () => {
  test("keep their bytes and line ends, and say what they mean", () => {
    const lines = wireLines(bytes(": c\r\nevent: add\rid: 7\ndata: ü\ndata: 2\nretry: 50\nfoo: 1\n\n"));
    expect(lines.map(({ offset, text: line, end }) => [offset, line, end])).toEqual([
      [0, ": c", "CRLF"],
      [5, "event: add", "CR"],
      [16, "id: 7", "LF"],
      [22, "data: ü", "LF"],
      [31, "data: 2", "LF"],
      [39, "retry: 50", "LF"],
      [49, "foo: 1", "LF"],
      [56, "", "LF"],
    ]);
    expect(lines.map(({ meaning }) => meaning.split(/[:,.]/)[0])).toEqual([
      "A comment",
      "The type",
      "The cursor",
      "The data",
      "More data",
      "How long to wait before a reconnect",
      "No field of the standard",
      "A blank line",
    ]);
  });

  test("that are cut off have no end", () => {
    expect(wireLines(bytes("data: 1"))).toMatchObject([{ text: "data: 1", end: "" }]);
    expect(wireLines(new Uint8Array())).toEqual([]);
  });
});
