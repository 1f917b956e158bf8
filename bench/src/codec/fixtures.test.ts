import { describe, expect, test } from "bun:test";
import { decodeFixtures, encodeFixtures } from "./fixtures.ts";
import { decoders, encoders, type SeenEvent } from "./variants.ts";

function decoded(variant: string, chunks: readonly Uint8Array[]): SeenEvent[] {
  const events: SeenEvent[] = [];
  decoders[variant]?.(chunks, ({ type, data }) => events.push({ type, data }));
  return events;
}

const [ours = "", ...peers] = Object.keys(decoders);
const [ourEncoder = "", ...peerEncoders] = Object.keys(encoders);

function digest(seed: number): unknown {
  const streams = decodeFixtures(seed).map(({ chunks }) => chunks.map((chunk) => chunk.toBase64()));
  return Bun.hash(JSON.stringify([streams, encodeFixtures(seed)]));
}

test("the same seed gives the same bytes, another gives others", () => {
  expect(digest(1)).toBe(digest(1));
  expect(digest(1)).not.toBe(digest(2));
});

describe("every decoder delivers the same events", () => {
  test.each(decodeFixtures())("$name", ({ chunks, events }) => {
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    const expected = decoded(ours, chunks);
    expect(expected).toHaveLength(events);
    expect(expected.reduce((sum, { data }) => sum + data.length, 0)).toBeGreaterThan(bytes / 10);
    for (const peer of peers) expect(decoded(peer, chunks)).toEqual(expected);
  });
});

describe("every encoder writes what decodes to the same events", () => {
  test.each(encodeFixtures())("$name", ({ messages }) => {
    const stream = (variant: string) =>
      new TextEncoder().encode(messages.map((message) => encoders[variant]?.(message)).join(""));
    const expected = messages.map(({ event, data }) => ({
      type: event ?? "message",
      data: data.replaceAll("\r\n", "\n"),
    }));
    for (const variant of [ourEncoder, ...peerEncoders]) {
      expect(decoded(ours, [stream(variant)])).toEqual(expected);
    }
  });
});
