import { describe, expect, test } from "bun:test";
import type { Attachable, Reader, Sink } from "../sinks/sink.ts";

/** The contract of {@link Sink}: every implementation runs it. */
export function sinkContract(name: string, { connect, connectHead, leaveAtOnce }: SinkUnderTest): void {
  describe(`sink contract: ${name}`, () => {
    const open = async (): Promise<{ opening: RecordedOpening; sink: Sink; client: SinkClient }> => {
      const opening = new RecordedOpening();
      const client = await connect(opening);
      await until(() => client.text() === HELLO);
      return { opening, sink: opening.sink!, client };
    };
    /** Writes until the reader has been behind for a while: what the system takes between the two is not known. */
    const fill = async (sink: Sink): Promise<{ text: string; blocked: Promise<unknown> }> => {
      let text = "";
      for (let count = 0; ; count++) {
        expect(text.length).toBeLessThan(MOST_TAKEN);
        const frame = `${count} ${"x".repeat(16_000)}\n`;
        text += frame;
        const result = sink.write(encoder.encode(frame));
        expect(result).not.toBe(0);
        if (typeof result === "number") continue;
        if ((await Promise.race([result, sleep(WHILE)])) === STILL) return { text, blocked: result };
      }
    };

    test("is attached once, and what is written arrives", async () => {
      const { opening, sink, client } = await open();
      expect(opening.log).toEqual(["attach"]);
      expect(sink.write(encoder.encode("one "))).toBeGreaterThan(0);
      expect(sink.write(encoder.encode("two"))).toBeGreaterThan(0);
      await until(() => client.text() === `${HELLO}one two`);
      client.leave();
    });

    test("leaves the frame as it was: other streams are sent it too", async () => {
      const [first, second] = [await open(), await open()];
      const frame = encoder.encode("shared");
      await first.sink.write(frame);
      await until(() => first.client.text() === `${HELLO}shared`);
      await second.sink.write(frame);
      await until(() => second.client.text() === `${HELLO}shared`);
      expect(frame.byteLength).toBe(6);
      for (const { client } of [first, second]) client.leave();
    });

    test("says when the reader is behind, and when it goes on; nothing is lost", async () => {
      const { opening, sink, client } = await open();
      client.pause();
      const { text, blocked } = await fill(sink);
      client.resume();
      await blocked;
      await sink.write(encoder.encode("more"));
      sink.close();
      await until(() => client.ended() !== null);
      expect(client.ended()).toBe("closed");
      expect(client.text() === `${HELLO}${text}more`).toBe(true);
      expect(opening.log).toEqual(["attach"]);
    });

    test("says once that the reader has gone, and takes nothing more", async () => {
      const { opening, sink, client } = await open();
      client.leave();
      await until(() => opening.log.includes("gone") || sink.write(encoder.encode("x")) === 0);
      expect(sink.write(encoder.encode("x"))).toBe(0);
      sink.close();
      sink.abort();
      await sleep(WHILE);
      expect(opening.log.filter((each) => each !== "gone")).toEqual(["attach"]);
      expect(opening.log.length).toBeLessThan(3);
    });

    test("lets go of a write when the reader goes that was behind", async () => {
      const { opening, sink, client } = await open();
      client.pause();
      const { blocked } = await fill(sink);
      client.leave();
      await Promise.allSettled([blocked]);
      await until(() => opening.log.includes("gone") || sink.write(encoder.encode("x")) === 0);
      expect(opening.log.length).toBeLessThan(3);
    });

    test("closes after what was written, and does not say that the reader has gone", async () => {
      const { opening, sink, client } = await open();
      const frame = "y".repeat(300_000);
      void sink.write(encoder.encode(frame));
      sink.close();
      await until(() => client.ended() !== null);
      expect(client.ended()).toBe("closed");
      expect(client.text() === HELLO + frame).toBe(true);
      await sleep(WHILE);
      expect(opening.log).toEqual(["attach"]);
    });

    test("takes nothing after it was closed", async () => {
      const { sink, client } = await open();
      sink.close();
      expect(writeAfter(sink)).toBe(0);
      sink.close();
      sink.abort();
      await until(() => client.ended() !== null);
      expect({ ended: client.ended(), text: client.text() }).toEqual({ ended: "closed", text: HELLO });
    });

    test("aborts: the reader sees that the body is not whole, and does not get the rest", async () => {
      const { opening, sink, client } = await open();
      client.pause();
      const { text, blocked } = await fill(sink);
      blocked.catch(() => {}); // nobody waits for it any more
      sink.abort();
      expect(writeAfter(sink)).toBe(0);
      client.resume();
      await until(() => client.ended() !== null);
      expect(client.ended()).toBe("aborted");
      expect((HELLO + text).startsWith(client.text())).toBe(true);
      await sleep(WHILE);
      expect(opening.log).toEqual(["attach"]);
    });

    if (connectHead !== undefined)
      test("a body that nobody reads cancels the opening", async () => {
        const opening = new RecordedOpening();
        await connectHead(opening);
        await until(() => opening.log.length > 0);
        await sleep(WHILE);
        expect(opening.log).toEqual(["cancel"]);
      });

    if (leaveAtOnce !== undefined)
      test("a reader that leaves while it is attached is told of once it is", async () => {
        const opening = new RecordedOpening();
        await leaveAtOnce(opening);
        await until(() => opening.log.length > 1);
        expect(opening.sink!.write(encoder.encode("x"))).toBe(0);
        await sleep(WHILE);
        expect(opening.log).toEqual(["attach", "gone"]);
      });
  });
}

/** How the suite comes to a sink. */
export interface SinkUnderTest {
  /** Gives the opening a sink, with a client at its other end that reads from the start. */
  connect: (opening: Attachable) => Promise<SinkClient>;
  /** A client that wants no body: a HEAD request, or one that has left already. Left out where there is no such client. */
  connectHead?: (opening: Attachable) => Promise<unknown>;
  /** A client that has left by the time that `attach` returns. Left out where that cannot be. */
  leaveAtOnce?: (opening: RecordedOpening) => Promise<unknown>;
}

/** The other end of a sink. */
export interface SinkClient {
  /** What it has read. */
  text(): string;
  /** How the body has ended; null: it has not. */
  ended(): "closed" | "aborted" | null;
  /** Reads no more, until {@link resume}. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Hangs up. */
  leave(): void;
}

/** An opening that writes {@link HELLO} to the sink that it is given, and records what it is told. */
export class RecordedOpening implements Attachable {
  /** What it was told, in order. */
  readonly log: ("attach" | "cancel" | "gone")[] = [];
  /** Null until it is attached. */
  sink: Sink | null = null;
  /** Called within {@link attach}. */
  onAttach = (): void => {};

  attach(sink: Sink): Reader {
    this.log.push("attach");
    this.sink = sink;
    void sink.write(encoder.encode(HELLO));
    this.onAttach();
    return { gone: () => void this.log.push("gone") };
  }

  cancel(): void {
    this.log.push("cancel");
  }
}

const HELLO = "hello ";
/** More than any system buffers. */
const MOST_TAKEN = 256 * 1024 * 1024;
/** What nothing is to happen in, in milliseconds. */
const WHILE = 50;
const STILL = "still";
const encoder = new TextEncoder();

/** One that throws takes it neither. */
function writeAfter(sink: Sink): unknown {
  try {
    return sink.write(encoder.encode("after the end"));
  } catch {
    return 0;
  }
}

function sleep(milliseconds: number): Promise<string> {
  return new Promise((resolve) => setTimeout(() => resolve(STILL), milliseconds));
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it did not come true: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
