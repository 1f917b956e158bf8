import { describe, expect, test } from "bun:test";
import { createDecoder, encodeComment, encodeEvent } from "@sse/protocol";
import { wireLines } from "./wire-lines.ts";
import { WireSplitter } from "./wire-splitter.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (block: Uint8Array) => new TextDecoder().decode(block);

function split(stream: string, size: number): string[] {
  const blocks: string[] = [];
  const splitter = new WireSplitter((block) => blocks.push(text(block)));
  const all = bytes(stream);
  for (let at = 0; at < all.length; at += size) splitter.feed(all.subarray(at, at + size));
  return blocks;
}

describe("blocks", () => {
  test.each([1, 2, 3, 5, 1_000])("are what stands between blank lines, in pieces of %d bytes", (size) => {
    const stream = `retry: 5\n\n${encodeEvent({ data: "ä\nb", id: "1" })}id: 2\ndata: rest\n\nunfinished`;
    expect(split(stream, size)).toEqual([
      "retry: 5\n\n",
      "data: ä\ndata: b\nid: 1\n\n",
      "id: 2\ndata: rest\n\n",
    ]);
  });

  test.each([1, 2, 3, 5, 1_000])("are comments between events, in pieces of %d bytes", (size) => {
    const heartbeat = encodeComment();
    const event = encodeEvent({ data: "1", id: "1" });
    for (const lineEnd of ["\n", "\r\n"]) {
      const blocks = [
        heartbeat,
        event,
        heartbeat,
        encodeComment("x"),
        "data: 2\n: within\ndata: 3\n\n",
        heartbeat,
      ];
      const sent = blocks.map((block) => block.replaceAll("\n", lineEnd));
      expect(split(`${sent.join("")}:`, size)).toEqual(sent);
    }
    // The LF that might follow a lone CR has to be waited for.
    expect(split(":\r:\rdata: 1\r\r:\r", size)).toEqual([":\r", ":\r", "data: 1\r\r"]);
  });

  test.each([1, 2, 3, 4, 1_000])("end with any line end, in pieces of %d bytes", (size) => {
    expect(split("data: 1\r\n\r\ndata: 2\n\ndata: 3\r\n\n:\n\n", size)).toEqual([
      "data: 1\r\n\r\n",
      "data: 2\n\n",
      "data: 3\r\n\n",
      ":\n",
      "\n",
    ]);
    // The LF that might follow a lone CR has to be waited for.
    expect(split("data: 1\r\rdata: 2\r\r\n:", size)).toEqual(["data: 1\r\r", "data: 2\r\r\n"]);
  });

  test("bring a decoder that is fed them to the same events", () => {
    const stream = ":\ndata: 1\r\r: c\rdata\r\n\r\nevent: a\n:\ndata: 2\n\n: c\n\n";
    const decode = (pieces: string[]) => {
      const events: string[] = [];
      const decoder = createDecoder({ onEvent: ({ type, data }) => events.push(`${type} ${data}`) });
      for (const piece of pieces) decoder.feed(bytes(piece));
      return events;
    };
    expect(decode(split(stream, 3))).toEqual(decode([stream]));
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
