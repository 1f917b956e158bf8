import { describe, expect, test } from "bun:test";
import { EventTooLargeError } from "./errors.ts";
import { decodeEvents, DecoderStream } from "./stream.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A source that counts what is taken from it and remembers how it was ended. */
function source(chunks: string[], end: "close" | "stall" | Error = "close") {
  const seen = { pulled: 0, cancelled: undefined as unknown };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[seen.pulled];
        if (chunk !== undefined) {
          seen.pulled++;
          controller.enqueue(utf8(chunk));
        } else if (end === "close") controller.close();
        else if (end !== "stall") controller.error(end);
      },
      cancel(reason) {
        seen.cancelled = reason ?? "no reason";
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, seen };
}

async function collect(events: AsyncIterable<{ data: string }>) {
  const data: string[] = [];
  let error: unknown;
  try {
    for await (const event of events) data.push(event.data);
  } catch (failure) {
    error = failure;
  }
  return { data, error };
}

/** Both ways to read a stream, under one contract. */
const readers = {
  decodeEvents,
  DecoderStream: (
    stream: ReadableStream<Uint8Array>,
    options?: ConstructorParameters<typeof DecoderStream>[0],
  ) => stream.pipeThrough(new DecoderStream(options)),
};

for (const [name, read] of Object.entries(readers)) {
  describe(name, () => {
    test("delivers the events of all chunks in order, and drops the unfinished one", async () => {
      const { stream } = source(["data: a\n\nda", "ta: b\n\n", "data: c\n\ndata: no\n"]);
      expect(await collect(read(stream))).toEqual({ data: ["a", "b", "c"], error: undefined });
    });

    test("passes its options on", async () => {
      const comments: string[] = [];
      const { stream } = source([": hi\ndata: a\n\n"]);
      const events = read(stream, { lastEventId: "7", onComment: (text) => comments.push(text) });
      for await (const event of events) expect(event.lastEventId).toBe("7");
      expect(comments).toEqual(["hi"]);
    });

    test("an oversized event is an error after the events before it, and cancels the source", async () => {
      const { stream, seen } = source(["data: a\n\ndata: b\n\ndata: 0123456789", "more", "more"], "stall");
      const { data, error } = await collect(read(stream, { maxEventBytes: 10 }));
      expect(data).toEqual(["a", "b"]);
      expect(error).toBeInstanceOf(EventTooLargeError);
      // A pipe may cancel its source a moment later.
      while (seen.cancelled === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    });

    test("an oversized event at the end of the source is an error too", async () => {
      for (const before of ["", "data: a\n\n"]) {
        const { stream } = source([`${before}data: 0123456789`]);
        const { error } = await collect(read(stream, { maxEventBytes: 10 }));
        expect(error).toBeInstanceOf(EventTooLargeError);
      }
    });

    test("an error of the source comes out after the events before it", async () => {
      const failure = new Error("connection lost");
      const { stream } = source(["data: a\n\n"], failure);
      expect(await collect(read(stream))).toEqual({ data: ["a"], error: failure });
    });

    test("stopping early cancels the source", async () => {
      const { stream, seen } = source(["data: a\n\ndata: b\n\n", "data: c\n\n"], "stall");
      for await (const event of read(stream)) {
        expect(event.data).toBe("a");
        break;
      }
      expect(seen.cancelled).toBeDefined();
    });

    test("takes no chunk before it is needed", async () => {
      const { stream, seen } = source(Array.from({ length: 100 }, () => "data: x\n\n"));
      const events = read(stream)[Symbol.asyncIterator]();
      for (let count = 1; count <= 10; count++) {
        await events.next();
        expect(seen.pulled).toBeLessThanOrEqual(count + 2);
      }
      await events.return?.();
    });
  });
}

async function* iterable(seen: { returned: boolean }) {
  try {
    yield utf8("data: a\n\n");
    yield utf8("data: b\n\n");
  } finally {
    seen.returned = true;
  }
}

describe("decodeEvents over an async iterable", () => {
  test("reads it to its end", async () => {
    const seen = { returned: false };
    expect((await collect(decodeEvents(iterable(seen)))).data).toEqual(["a", "b"]);
    expect(seen.returned).toBe(true);
  });

  test("returns it when the consumer stops", async () => {
    const seen = { returned: false };
    for await (const event of decodeEvents(iterable(seen))) {
      expect(event.data).toBe("a");
      break;
    }
    expect(seen.returned).toBe(true);
  });
});

test("DecoderStream fails both sides with the error", async () => {
  const stream = new DecoderStream({ maxEventBytes: 10 });
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  const written = writer.write(utf8("data: 0123456789"));
  const errors = await Promise.all(
    [reader.read(), written, writer.closed].map((side) => side.catch((error) => error)),
  );
  for (const error of errors) expect(error).toBeInstanceOf(EventTooLargeError);
});

test("decodeEvents releases the lock of a stream that it has read", async () => {
  const { stream } = source(["data: a\n\n"]);
  await collect(decodeEvents(stream));
  expect(stream.locked).toBe(false);
});
