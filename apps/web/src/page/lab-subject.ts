import { fields } from "./fields.ts";
import { Ledger } from "./ledger.ts";
import { post } from "./post.ts";
import { type WireEvent, WireReader, type WireState } from "./wire-reader.ts";

/** Events in one request, and bytes of data in it: both well under what the server takes. */
const BATCH_EVENTS = 500;
const BATCH_BYTES = 2 * 1024 * 1024;
const LOOK_EVERY_MS = 25;

export type LagPolicy = "catch-up" | "latest" | "disconnect";

export interface LabSubjectOptions {
  readonly topic: string;
  readonly lag: LagPolicy;
  readonly onEvent: (event: WireEvent) => void;
  readonly onState: (state: WireState) => void;
  /** What the hub said in the stream, or the stream did, in words. */
  readonly onNote: (note: string) => void;
}

/** A reader to be hurt: the one stream of a topic of its own, whose numbered events it keeps account of. */
export class LabSubject {
  readonly #options: LabSubjectOptions;
  readonly ledger = new Ledger();
  readonly reader: WireReader;
  #published = 0;
  #stopped = false;

  constructor(options: LabSubjectOptions) {
    this.#options = options;
    const { topic, lag } = options;
    this.reader = new WireReader({
      url: `/events?${new URLSearchParams({ topic, lag })}`,
      onEvent: (event) => this.#onEvent(event),
      onState: (state) => this.#onState(state),
    });
  }

  get published(): number {
    return this.#published;
  }

  /**
   * Publishes the next `count` events, each with `size` bytes to spare, of `keys` keys in turn.
   *
   * @throws Error with the server's words when it refuses
   */
  async publish(count: number, { size = 0, keys = 0 }: { size?: number; keys?: number } = {}): Promise<void> {
    const together = Math.max(1, Math.min(BATCH_EVENTS, Math.floor(BATCH_BYTES / (size + 100))));
    const ballast = "x".repeat(size);
    for (let rest = count; rest > 0; rest -= together) {
      const batch = Array.from({ length: Math.min(rest, together) }, (_, at) => {
        const n = this.#published + at + 1;
        const data = size > 0 ? { n, ballast } : { n };
        return { topic: this.#options.topic, data, ...(keys > 0 ? { key: `key-${n % keys}` } : {}) };
      });
      const result = await post("/publish", batch);
      if (!result.ok) throw new Error(result.problem);
      if (this.#stopped) throw new Error("stopped");
      this.#published += batch.length;
    }
  }

  /** Ends the topic: its streams are told, and close. */
  async end(): Promise<void> {
    const result = await post("/publish", { topic: this.#options.topic, end: true });
    if (!result.ok) throw new Error(result.problem);
  }

  /** Has the server send its stream away, as it does with all of them before a restart. */
  async drain(): Promise<void> {
    const result = await post("/drain", { topics: [this.#options.topic], within: 0 });
    if (!result.ok) throw new Error(result.problem);
  }

  /** @returns whether the condition came true in time */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    while (!condition()) {
      if (this.#stopped) throw new Error("stopped");
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return true;
  }

  /** Whether every number has come, or stands in a gap that was told. */
  get isSettled(): boolean {
    return this.ledger.highest >= this.#published;
  }

  stop(): void {
    this.#stopped = true;
    this.reader.close();
  }

  #onEvent(event: WireEvent): void {
    this.#options.onEvent(event);
    const { onNote } = this.#options;
    const said = event.type.startsWith("sse:") ? fields(event.data) : {};
    if (event.type === "message") this.ledger.event(Number(fields(event.data)["n"]));
    else if (event.type === "sse:ready")
      this.ledger.ready(String(said["resume"]), Number(said["replayed"]) || 0);
    else if (event.type === "sse:gap") {
      const from = typeof said["from"] === "string" ? said["from"] : null;
      this.ledger.gap(String(said["reason"]), from, String(said["to"]));
      onNote(
        `Told of a gap: ${String(said["reason"])}, after ${from ?? "the start"}, up to ${String(said["to"])}`,
      );
    } else if (event.type === "sse:closing") onNote(`Told that the stream closes: ${String(said["reason"])}`);
    else if (event.type === "sse:end") onNote("Told that the topic has ended");
  }

  #onState(state: WireState): void {
    this.#options.onState(state);
    const { onNote } = this.#options;
    if (state.is === "open" && state.resume !== "fresh")
      onNote(`Back: ${state.resume}, ${state.replayed.toLocaleString("en")} replayed`);
    if (state.is === "waiting") onNote(`Away (${state.why}); back in ${state.wait.toLocaleString("en")} ms`);
    if (state.is === "ended") onNote("Answered 204: there is nothing left, stay away");
    if (state.is === "refused") onNote(`Refused: ${state.problem}`);
  }
}
