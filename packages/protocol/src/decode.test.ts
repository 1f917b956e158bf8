import { describe, expect, test } from "bun:test";
import { createDecoder, type DecoderOptions, type ServerSentEvent } from "./decode.ts";
import { EventTooLargeError } from "./errors.ts";

function recorded(options: Omit<DecoderOptions, "onEvent"> = {}) {
  const events: ServerSentEvent[] = [];
  const decoder = createDecoder({ ...options, onEvent: (event) => events.push(event) });
  return { events, decoder, data: () => events.map((event) => event.data) };
}

function caught(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("reset", () => {
  test("keeps the last event id and drops the unfinished event with its id and type", () => {
    const { decoder, events } = recorded();
    decoder.feed("id: 1\ndata: a\n\nid: 2\nevent: x\ndata: lost\ndata: lo");
    decoder.reset();
    expect(decoder.lastEventId).toBe("1");
    decoder.feed("data: b\n\n");
    expect(events.at(-1)).toEqual({ type: "message", data: "b", lastEventId: "1" });
  });

  test("allows a byte order mark again, and forgets half of one", () => {
    const { decoder, data } = recorded();
    decoder.feed("\ufeffdata: a\n\n");
    decoder.reset();
    decoder.feed(Uint8Array.of(0xef, 0xbb));
    decoder.reset();
    decoder.feed("\ufeffdata: b\n\n");
    decoder.feed("\ufeffdata: no mark\n\n");
    expect(data()).toEqual(["a", "b"]);
  });

  test("forgets a CR, a line being skipped and half a surrogate pair", () => {
    const { decoder, data } = recorded();
    decoder.feed("data: a\r");
    decoder.reset();
    decoder.feed("\ndata: b\n\nunknown");
    decoder.reset();
    decoder.feed("data: c\n\ndata: \ud83d");
    decoder.reset();
    decoder.feed("data: d\n\n");
    expect(data()).toEqual(["b", "c", "d"]);
  });

  test("from a callback drops the rest of the chunk", () => {
    const events: string[] = [];
    const decoder = createDecoder({
      onEvent: ({ data }) => {
        events.push(data);
        if (data === "last") decoder.reset();
      },
    });
    decoder.feed("data: a\n\ndata: last\n\ndata: b\n\ndata: c");
    decoder.feed("data: d\n\n");
    expect(events).toEqual(["a", "last", "d"]);
  });

  test("from a callback drops it also when a limit makes the chunk go in pieces", () => {
    const events: string[] = [];
    const decoder = createDecoder({
      maxEventBytes: 10,
      onEvent: ({ data }) => {
        events.push(data);
        decoder.reset();
      },
    });
    decoder.feed("data: a\n\ndata: b\n\ndata: c\n\n");
    expect(events).toEqual(["a"]);
  });
});

describe("text input", () => {
  test("may be cut inside a surrogate pair", () => {
    const { decoder, data } = recorded();
    for (const unit of "data: 😀é\n\n".split("")) decoder.feed(unit);
    decoder.feed("data: \ud83d");
    decoder.feed("");
    decoder.feed("\ude00\n\n");
    expect(data()).toEqual(["😀é", "😀"]);
  });

  test("half a pair that is never completed is U+FFFD, also before bytes", () => {
    const { decoder, data } = recorded();
    decoder.feed("data: \ud83d");
    decoder.feed("x\n\n");
    decoder.feed("data: \ud83d");
    decoder.feed(Uint8Array.of(0x78, 0x0a, 0x0a));
    decoder.feed("data: \ude00\n\n");
    expect(data()).toEqual(["\ufffdx", "\ufffdx", "\ufffd"]);
  });
});

describe("maxEventBytes", () => {
  test("acts inside one chunk, after the events before the fault", () => {
    const { decoder, data } = recorded({ maxEventBytes: 10 });
    const error = caught(() => decoder.feed(`data: ok\n\ndata: ${"x".repeat(1000)}\n\ndata: no\n\n`));
    expect(error).toBeInstanceOf(EventTooLargeError);
    expect(error).toMatchObject({ name: "EventTooLargeError", code: "event-too-large", maxEventBytes: 10 });
    expect(data()).toEqual(["ok"]);
  });

  test("keeps throwing the same error until reset", () => {
    const { decoder, data } = recorded({ maxEventBytes: 10 });
    const error = caught(() => decoder.feed("data: 0123456789"));
    expect(caught(() => decoder.feed("\n\n"))).toBe(error);
    expect(caught(() => decoder.feed(new Uint8Array()))).toBe(error);
    decoder.reset();
    decoder.feed("data: ok\n\n");
    expect(data()).toEqual(["ok"]);
  });

  test("counts the data lines of an event together, in bytes, and starts anew with the next", () => {
    const { decoder, data } = recorded({ maxEventBytes: 20 });
    decoder.feed("data:1234567\ndata:12345\n\n".repeat(3));
    decoder.feed("data:éééé\ndata:éé\n\n"); // 9 held, and 9 in the second line
    expect(data()).toHaveLength(4);
    expect(caught(() => decoder.feed("data:éééé\ndata:ééééé\n\n"))).toBeInstanceOf(EventTooLargeError);
  });

  test("counts every kind of line that is held, and none that is not", () => {
    for (const line of ["event:", "id:", "retry:", "data:", ":"]) {
      const { decoder } = recorded({ maxEventBytes: 100, onComment: () => {} });
      expect(caught(() => decoder.feed(line.padEnd(101, "1")))).toBeInstanceOf(EventTooLargeError);
    }
    const { decoder, data } = recorded({ maxEventBytes: 10 });
    decoder.feed(`: ${"x".repeat(1000)}\nunknown: ${"x".repeat(1000)}\ndatax${"x".repeat(1000)}\ndata:1\n\n`);
    expect(data()).toEqual(["1"]);
  });

  test("a malformed byte counts as one, though it becomes a character of three", () => {
    const bytes = Uint8Array.of(...new TextEncoder().encode("data:é"), 0x80, 0x80, 0x80, 0x80, 0x0a);
    const { decoder, data } = recorded({ maxEventBytes: 11 });
    decoder.feed(bytes);
    decoder.feed("\n");
    expect(data()).toEqual(["é\ufffd\ufffd\ufffd\ufffd"]);
  });

  test("null is no limit; anything but a positive integer is refused", () => {
    recorded({ maxEventBytes: null }).decoder.feed("data: x\n\n");
    for (const maxEventBytes of [0, -1, 1.5, Number.NaN, Infinity, "10" as unknown as number]) {
      expect(() => recorded({ maxEventBytes })).toThrow("maxEventBytes must be a positive integer");
    }
  });
});

describe("long lines", () => {
  const letters = "x".repeat(100_000);

  test("are read the same when their first bytes come in a piece of their own", () => {
    for (const size of [5000, 100_000]) {
      for (let cut = 1; cut < 10; cut++) {
        const { decoder, data } = recorded();
        const line = `data: ${letters.slice(0, size)}`;
        decoder.feed(`id: 1\n${line.slice(0, cut)}`);
        decoder.feed(`${line.slice(cut)}\n\n`);
        expect(data()).toEqual([line.slice("data: ".length)]);

        const limited = recorded({ maxEventBytes: size });
        limited.decoder.feed(line.slice(0, cut));
        expect(caught(() => limited.decoder.feed(line.slice(cut)))).toBeInstanceOf(EventTooLargeError);
      }
    }
  });

  test("an id with a NUL anywhere is ignored", () => {
    const { decoder } = recorded();
    decoder.feed("id: 1\n\nid: ");
    decoder.feed(letters);
    decoder.feed("\0\n\n");
    expect(decoder.lastEventId).toBe("1");
  });
});

describe("chunks that hold one event", () => {
  test("may have several lines, ended in any way", () => {
    for (const lineEnd of ["\n", "\r", "\r\n"]) {
      const { decoder, data } = recorded();
      decoder.feed(`data: the first of two lines${lineEnd}data: the second\n\n`);
      expect(data()).toEqual(["the first of two lines\nthe second"]);
    }
  });

  test("and what comes between its lines does not part them", () => {
    for (const count of [1, 2, 3]) {
      const { decoder, data } = recorded();
      const lines = Array.from({ length: count }, (_, index) => `line ${index}`);
      decoder.feed(lines.map((line) => `data: ${line}\n`).join(""));
      decoder.feed(`: ${"x".repeat(50_000)}\n`);
      decoder.feed("data: end\n\n");
      expect(data()).toEqual([[...lines, "end"].join("\n")]);
    }
  });
});

describe("events that are held for long", () => {
  test("are put together again after their lines have been packed", () => {
    const { decoder, events } = recorded();
    const lines = Array.from({ length: 5000 }, (_, index) => (index % 7 === 0 ? "" : `line é ${index}`));
    decoder.feed("id: ü\nevent: ö\n");
    for (const line of lines) decoder.feed(`data: ${line}\n`);
    decoder.feed("\n");
    expect(events).toEqual([{ type: "ö", data: lines.join("\n"), lastEventId: "ü" }]);
  });

  test("may begin, end and consist of empty lines", () => {
    for (const count of [1, 2, 1024, 1025, 1026, 2050]) {
      const { decoder, data } = recorded();
      for (let line = 0; line < count; line++) decoder.feed("data\n");
      decoder.feed("\n");
      expect(data()).toEqual(["\n".repeat(count - 1)]);
    }
  });

  test("a text of more than one part may have its characters cut anywhere", () => {
    const text = "aé漢😀".repeat(20_000);
    const bytes = new TextEncoder().encode(`data: ${text}\n\n`);
    for (const size of [1, 7, 60_001, 65_536, 65_537, 150_000]) {
      const { decoder, data } = recorded();
      for (let start = 0; start < bytes.length; start += size)
        decoder.feed(bytes.subarray(start, start + size));
      expect(data()[0] === text).toBe(true);
    }
  });
});

describe("callbacks", () => {
  test("an error of theirs stops the decoder until reset", () => {
    const seen: string[] = [];
    const decoder = createDecoder({
      onEvent: ({ data }) => {
        seen.push(data);
        if (data === "bad") throw new RangeError("from the callback");
      },
    });
    const error = caught(() => decoder.feed("id:1\ndata: bad\n\ndata: lost\n\ndata: lo"));
    expect(error).toBeInstanceOf(RangeError);
    expect(caught(() => decoder.feed("st\n\n"))).toBe(error);
    expect(decoder.lastEventId).toBe("1");
    decoder.reset();
    decoder.feed("data: good\n\n");
    expect(seen).toEqual(["bad", "good"]);
  });

  test("retry acts without an event and is capped", () => {
    const retries: number[] = [];
    const { decoder } = recorded({ onRetry: (milliseconds) => retries.push(milliseconds) });
    decoder.feed(`retry: 7\nretry:${"9".repeat(400)}\nretry: -1\n`);
    expect(retries).toEqual([7, Number.MAX_SAFE_INTEGER]);
  });
});

test("lines that are skipped end where they end, and no further", () => {
  for (const lineEnd of ["\n", "\r", "\r\n"]) {
    for (const skipped of [": unheard", "unknown: x"]) {
      const { decoder, data } = recorded();
      decoder.feed(`${skipped}${lineEnd}data: a${lineEnd}${skipped}`);
      decoder.feed(`${skipped}${lineEnd}data: b${lineEnd}${lineEnd}`);
      decoder.feed(`${skipped}${lineEnd}`);
      decoder.feed(`data: c${lineEnd}${lineEnd}`);
      expect(data()).toEqual(["a\nb", "c"]);
    }
  }
});

test("the id of an earlier connection is the same before and after other text is let go", () => {
  const { decoder } = recorded({ lastEventId: "\ud800" });
  expect(decoder.lastEventId).toBe("\ufffd");
  decoder.feed(`id: 1\n: ${"x".repeat(100_000)}\n`);
  expect(decoder.lastEventId).toBe("\ufffd");
});

test("the caller may reuse its array", () => {
  const { decoder, data } = recorded();
  const chunk = new TextEncoder().encode("data: kept");
  decoder.feed(chunk);
  chunk.fill(0x21);
  decoder.feed("\n\n");
  expect(data()).toEqual(["kept"]);
});
