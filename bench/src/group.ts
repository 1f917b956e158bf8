import { Connection } from "./connection.ts";
import { createHistogram, packed, record } from "./histogram.ts";
import { addTally, emptyTally, Ledger, type Published } from "./ledger.ts";
import type { GroupOrder, GroupReport } from "./messages.ts";
import { now } from "./clock.ts";
import { Pieces } from "./pieces.ts";
import { SampledReader, type SampleFound } from "./sample.ts";
import { Scanner } from "./scanner.ts";
import { headerLines } from "./target.ts";

/** The time of the last bytes, taken once for each piece of a stream. */
let received = 0;

/** One stream's books. */
class Books implements SampleFound {
  readonly ledger: Ledger;
  readonly #group: Group;
  /** A stream that never was can have lost nothing: it is counted as one that could not be opened. */
  hasOpened = false;
  #lastEvent = 0;

  constructor(group: Group, ledger: Ledger) {
    this.#group = group;
    this.ledger = ledger;
  }

  record(channel: number, number: number, intended: number): void {
    this.ledger.record(channel, number);
    this.#group.delivered(intended);
  }

  corrupt(): void {
    this.#group.corrupt++;
  }

  idOutOfOrder(): void {
    this.#group.idsOutOfOrder++;
  }

  event(): void {
    if (this.#lastEvent > 0) this.#group.silence(received - this.#lastEvent);
    this.#lastEvent = received;
    this.#group.decodedEvents++;
  }
}

/** The streams of a {@link GroupOrder}: opens them, and keeps their books. */
export class Group {
  readonly #order: GroupOrder;
  readonly #mark: Buffer;
  readonly #pieces = new Pieces();
  readonly #connections: Connection[] = [];
  readonly #books: Books[] = [];
  readonly #latency = createHistogram();
  readonly #opening = createHistogram();
  readonly #gaps = createHistogram();
  readonly #failures: Record<string, number> = {};
  /** Settles the opening of a stream, by its index. */
  readonly #opened = new Map<number, () => void>();
  #measureFrom = Infinity;
  #lastReceipt = 0;
  #lastOpen = 0;
  #dropped = 0;
  #cycles = 0;
  /** Streams that are open. */
  open = 0;
  received = 0;
  bytes = 0;
  corrupt = 0;
  idsOutOfOrder = 0;
  decodedEvents = 0;

  constructor(order: GroupOrder) {
    this.#order = order;
    this.#mark = Buffer.from(order.mark);
    for (let index = 0; index < order.streams; index++) this.#add(index);
  }

  delivered(intended: number): void {
    this.received++;
    this.#lastReceipt = received;
    if (intended >= this.#measureFrom) record(this.#latency, received - intended);
  }

  /** The time between two events of a decoded stream. */
  silence(microseconds: number): void {
    record(this.#gaps, microseconds);
  }

  /** Opens all streams that are not; resolves when each is open or has failed. */
  async connect(inFlight: number = this.#order.inFlight): Promise<void> {
    let next = 0;
    const connectSome = async (): Promise<void> => {
      while (next < this.#connections.length) {
        const index = next++;
        if (!this.#connections[index]!.isOpen) await this.#connectOne(index);
      }
    };
    await Promise.all(Array.from({ length: Math.min(inFlight, this.#connections.length) }, connectSome));
  }

  /** Opens the streams and closes them as soon as they are open, over and over. */
  async churn(duration: number, interval: number): Promise<void> {
    const start = performance.now();
    const end = start + duration;
    await Promise.all(
      this.#connections.map(async (connection, index) => {
        // Spread over the first interval.
        let due = start + (interval * index) / this.#connections.length;
        while (performance.now() < end) {
          if (due > performance.now()) await Bun.sleep(due - performance.now());
          due += interval;
          await this.#connectOne(index);
          if (connection.isOpen) this.#cycles++;
          else await Bun.sleep(10); // what is refused at once must not be asked again at once
          this.#close(connection);
        }
      }),
    );
  }

  disconnect(): void {
    for (const connection of this.#connections) this.#close(connection);
  }

  measure(from: number): void {
    this.#measureFrom = from;
    this.#latency.reset();
    this.#gaps.reset();
  }

  /** Answers how to ask whether every open stream has all it should have; asking again goes on from the first that had not. */
  completion(published: Published): () => boolean {
    const expected = this.#books.map(({ ledger }) => ledger.expected(published));
    // An event whose request failed may come all the same: then the number alone does not tell.
    const isComplete = (ledger: Ledger, count: number): boolean =>
      ledger.distinct >= count && (published.excused.size === 0 || ledger.lost(published) === 0);
    let index = 0;
    return () => {
      while (index < expected.length) {
        const isOpen = this.#connections[index]!.isOpen;
        if (isOpen && !isComplete(this.#books[index]!.ledger, expected[index]!)) return false;
        index++;
      }
      return true;
    };
  }

  /** The cursor of the first decoded stream. */
  cursor(): string {
    for (const { reader } of this.#connections) if (reader instanceof SampledReader) return reader.cursor;
    return "";
  }

  report(published: Published | null): GroupReport {
    const tally = emptyTally();
    for (const { ledger, hasOpened } of this.#books) {
      const { received: count, duplicated, outOfOrder, foreign } = ledger;
      const lost = published === null || !hasOpened ? 0 : ledger.lost(published);
      addTally(tally, {
        received: count,
        lost,
        duplicated,
        outOfOrder,
        foreign,
        corrupt: 0,
        idsOutOfOrder: 0,
      });
    }
    return {
      open: this.open,
      failures: this.#failures,
      dropped: this.#dropped,
      bytes: this.bytes,
      decodedEvents: this.decodedEvents,
      tally: { ...tally, corrupt: this.corrupt, idsOutOfOrder: this.idsOutOfOrder },
      latency: packed(this.#latency),
      opening: packed(this.#opening),
      gaps: packed(this.#gaps),
      lastReceipt: this.#lastReceipt,
      lastOpen: this.#lastOpen,
      cycles: this.#cycles,
    };
  }

  #close(connection: Connection): void {
    if (connection.isOpen) this.open--;
    connection.close();
  }

  #add(index: number): void {
    const { target, sources, stalls, mark, sampleEvery } = this.#order;
    const { firstChannel, channels, ownChannels } = this.#order;
    const first = ownChannels ? firstChannel + index * channels : firstChannel;
    const books = new Books(this, new Ledger(first, channels));
    const isSampled = sampleEvery > 0 && index % sampleEvery === 0;
    this.#books.push(books);
    this.#connections.push(
      new Connection({
        target,
        source: sources.length === 0 ? null : sources[index % sources.length]!,
        reader: isSampled ? new SampledReader(mark, books) : new Scanner(this.#mark, books, this.#pieces),
        stalls,
        onOpen: () => {
          this.open++;
          books.hasOpened = true;
          this.#opened.get(index)?.();
        },
        onBytes: (count) => {
          received = now();
          this.bytes += count;
        },
        onFailure: (reason) => {
          this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
          this.#opened.get(index)?.();
        },
        onDrop: () => {
          this.open--;
          this.#dropped++;
        },
      }),
    );
  }

  async #connectOne(index: number): Promise<void> {
    const connection = this.#connections[index]!;
    const started = now();
    const settled = Promise.withResolvers<void>();
    this.#opened.set(index, settled.resolve);
    const { openWithin } = this.#order;
    const timer = setTimeout(() => connection.fail(`not open within ${openWithin / 1000} s`), openWithin);
    void connection.connect(this.#request(index));
    await settled.promise;
    clearTimeout(timer);
    this.#opened.delete(index);
    if (!connection.isOpen) return;
    this.#lastOpen = now();
    record(this.#opening, this.#lastOpen - started);
  }

  #request(index: number): string {
    const { paths, target, headers } = this.#order;
    const { reader } = this.#connections[index]!;
    const cursor = reader instanceof SampledReader ? reader.cursor : "";
    const fields = {
      host: target.host,
      accept: "text/event-stream",
      "cache-control": "no-cache",
      ...headers,
      ...(cursor === "" ? {} : { "last-event-id": cursor }),
    };
    return `GET ${paths[paths.length === 1 ? 0 : index]} HTTP/1.1\r\n${headerLines(fields)}\r\n`;
  }
}
