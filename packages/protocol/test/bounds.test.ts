import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createDecoder, EventTooLargeError } from "../src/index.ts";
import { utf8 } from "./harness.ts";

// Enough for a machine that is busy with other things: slowness alone fails nothing here.
setDefaultTimeout(120_000);

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes in use: the engine's heap, and in Bun also what it holds outside of it. */
function memory(): number {
  const { Bun: bun, gc } = globalThis as { Bun?: { gc(isSynchronous: boolean): void }; gc?: () => void };
  if (bun === undefined) gc!();
  else bun.gc(true);
  return process.memoryUsage().heapUsed;
}

/** A line of `size` bytes whose content tells where it was put together wrongly. */
function patterned(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = 0x21 + ((index + Math.floor(index / 93)) % 93);
  return bytes;
}

describe("one line of 64 MiB", () => {
  const line = patterned(64 * MIB);

  test.each([1, 1460, 64 * KIB])("in chunks of %i bytes arrives whole", (size) => {
    let received = "";
    let held = 0;
    const before = memory();
    const decoder = createDecoder({ onEvent: ({ data }) => (received = data) });
    decoder.feed("data: ");
    if (size === 1) {
      const chunk = new Uint8Array(1);
      for (let index = 0; index < line.length; index++) {
        chunk[0] = line[index] as number;
        decoder.feed(chunk);
      }
    } else {
      for (let start = 0; start < line.length; start += size)
        decoder.feed(line.subarray(start, start + size));
    }
    held = memory() - before;
    decoder.feed("\n\n");
    expect(Buffer.from(received, "latin1").equals(line)).toBe(true);
    expect(held).toBeLessThan(1.5 * line.length);
  });
});

/** Nanoseconds per byte; the least of several runs, as others use the machine too. */
function costPerByte(stream: Uint8Array): number {
  let least = Infinity;
  for (let run = 0; run < 5; run++) {
    const decoder = createDecoder({ onEvent: () => {}, onComment: () => {} });
    const start = performance.now();
    decoder.feed(stream);
    least = Math.min(least, ((performance.now() - start) * 1e6) / stream.length);
  }
  return least;
}

// What is quadratic costs 64 times as much per byte at 64 times the size. The bound leaves a factor of twenty for noise.
test.each([
  ["CR only", "\r"],
  ["LF only", "\n"],
  ["CRLF only", "\r\n"],
  ["data lines ended by CR", "data: x\r"],
  ["data lines ended by LF, and one CR at the end", "data: x\n"],
  ["events ended by CR", "data: x\r\r"],
  ["comments", ": x\n"],
  ["unknown lines", "x\n"],
  ["ids", "id: 1\n\n"],
  ["multi-byte data lines", "data: é\n"],
])("%s: the cost per byte does not grow with the chunk", (_, unit) => {
  const stream = (size: number) => utf8(`${unit.repeat(size / unit.length)}\r`);
  costPerByte(stream(16 * KIB));
  const small = costPerByte(stream(16 * KIB));
  const large = costPerByte(stream(MIB));
  expect(large).toBeLessThan(20 * small + 20);
});

/** Feeds `chunk` until `total` bytes are through; returns the memory held then. */
function heldAfter(total: number, chunk: Uint8Array, maxEventBytes: number, first = ""): number {
  const before = memory();
  const decoder = createDecoder({ onEvent: () => {}, maxEventBytes });
  decoder.feed(first);
  for (let fed = 0; fed < total; fed += chunk.length) decoder.feed(chunk);
  const held = memory() - before;
  decoder.feed("\n");
  return held;
}

/** A megabyte of repetitions. */
function megabyteOf(unit: string): Uint8Array {
  return utf8(unit.repeat(MIB / unit.length));
}

describe("endless input is held within bounds", () => {
  test("a comment that never ends, with nobody listening", () => {
    expect(heldAfter(256 * MIB, megabyteOf("x"), 100, ": ")).toBeLessThan(2 * MIB);
  });

  test("a line that is no known field and never ends", () => {
    expect(heldAfter(256 * MIB, megabyteOf("data"), 100, "data")).toBeLessThan(2 * MIB);
  });

  test("comments and unknown fields inside an event", () => {
    expect(heldAfter(64 * MIB, megabyteOf(": x\nother: x\n"), 100, "data: x\n")).toBeLessThan(2 * MIB);
  });

  test("empty data lines cost a byte each, not a slot of an array", () => {
    // One byte held per five fed: 16 MiB of lines are 3.2 MiB.
    expect(heldAfter(16 * MIB, megabyteOf("data\n"), 8 * MIB)).toBeLessThan(10 * MIB);
    expect(heldAfter(16 * MIB, utf8("data\n".repeat(50)), 8 * MIB)).toBeLessThan(10 * MIB);
  });

  test("what is held does not keep the chunk alive that it came in", () => {
    const before = memory();
    const decoders = Array.from({ length: 20 }, (_, index) => {
      const decoder = createDecoder({ onEvent: () => {} });
      decoder.feed(
        utf8(
          `data: ${"x".repeat(4 * MIB)}\nid: first ${index}\n\nid: next ${index}\nevent: type ${index}\ndata: value\nda`,
        ),
      );
      return decoder;
    });
    expect(memory() - before).toBeLessThan(20 * MIB);
    expect(decoders.map((decoder) => decoder.lastEventId)).toEqual(
      Array.from({ length: 20 }, (_, index) => `first ${index}`),
    );
  });

  test.each(["data: x\n", "data: é\n", "data: ", "event: "])(
    "%p without end is refused at the limit, and let go",
    async (start) => {
      const before = memory();
      const limit = 8 * MIB;
      const decoder = createDecoder({ onEvent: () => {}, maxEventBytes: limit });
      const chunk = start.endsWith("\n") ? megabyteOf(start) : megabyteOf("x");
      decoder.feed(start);
      let fed = 0;
      expect(() => {
        for (; fed < 100 * MIB; fed += chunk.length) decoder.feed(chunk);
      }).toThrow(EventTooLargeError);
      expect(fed).toBeGreaterThanOrEqual(limit - 2 * MIB);
      expect(fed).toBeLessThan(8 * limit);
      // What an engine has optimized can hold a value for as long as the function runs, and a little longer.
      for (let turn = 0; turn < 100 && memory() - before >= 4 * MIB; turn++) await sleep(10);
      expect(memory() - before).toBeLessThan(4 * MIB);
      expect(() => decoder.feed("")).toThrow(EventTooLargeError);
    },
  );
});
