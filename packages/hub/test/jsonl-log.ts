import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import {
  type Bounds,
  type Clock,
  type EventLog,
  HubError,
  type MaybePromise,
  type Page,
  type Position,
  type PositionRequest,
  type ReadLimits,
  type SelectorSet,
  systemClock,
  type TailListener,
} from "@sse/hub";
import {
  createEpoch,
  type Cursor,
  type EventId,
  formatEventId,
  limitsOf,
  type NewEvent,
  numberBatch,
  parseLastEventId,
  RecentEvents,
  type Retention,
  storedEvent,
  TailListeners,
} from "@sse/hub/log";

const DEFAULTS = { maxEvents: 10_000, maxBytes: 16 * 1024 * 1024, maxAge: null } satisfies Retention;

/** A line of the file: an epoch that begins after an event, or an event. */
type Line = EpochLine | { seq: Cursor; time: number; event: NewEvent };
type EpochLine = { epoch: string; begun: Cursor };

/**
 * A log in a file of JSON lines, all of which is in memory too: what a log of one's own takes, on the exported parts. One
 * process at a time. Every opening is an epoch, so that what a torn last line held is never mistaken for what comes after it.
 */
export class JsonlLog implements EventLog {
  fault: string | null = null;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #maxEvents: number;
  readonly #recent: RecentEvents;
  readonly #tail = new TailListeners();
  readonly #epochs: EpochLine[] = [];
  #lines = 0;
  #closed = false;

  constructor(path: string, options: Retention & { clock?: Clock } = {}) {
    const limits = limitsOf(options, DEFAULTS);
    this.#path = path;
    this.#clock = options.clock ?? systemClock;
    this.#maxEvents = limits.maxEvents;
    const parsed = existsSync(path) ? readFileSync(path, "utf8").split("\n").flatMap(parseLine) : [];
    const first = parsed.find((line) => "seq" in line)?.seq;
    this.#recent = new RecentEvents(
      limits,
      this.#clock,
      first === undefined ? (parsed.findLast(isEpoch)?.begun ?? 0) : first - 1,
    );
    for (const line of parsed) {
      if (isEpoch(line)) this.#epochs.push(line);
      else this.#recent.push(storedEvent(this.#epochOf(line.seq), line.seq, line.event), line.time);
    }
    this.#recent.evict(this.#clock.now());
    this.#epochs.push({ epoch: createEpoch(Math.random), begun: this.#recent.last });
    this.#write([this.#epochs.at(-1)!]);
    this.#lines = parsed.length + 1;
  }

  #epochOf(seq: Cursor): string {
    return this.#epochs.findLast(({ begun }) => begun < seq)!.epoch;
  }

  #id(seq: Cursor): EventId {
    return formatEventId(this.#epochOf(seq), seq);
  }

  #write(lines: readonly Line[]): void {
    try {
      appendFileSync(this.#path, `\n${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
      this.fault = null;
    } catch (error) {
      this.fault = String(error);
      throw new HubError("log-failed", this.fault, { cause: error });
    }
  }

  append(batch: readonly NewEvent[]): readonly EventId[] {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    const time = this.#clock.now();
    const recent = this.#evicted();
    const { entries, events, ids } = numberBatch(batch, this.bounds().epoch, recent.last, (topic, key) => {
      const seq = recent.published(topic, key);
      return seq === undefined ? undefined : this.#id(seq);
    });
    if (entries.length > 0) this.#write(entries.map(({ seq }, at) => ({ seq, time, event: events[at]! })));
    for (const entry of entries) recent.push(entry, time);
    this.#lines += entries.length;
    if (this.#lines > 2 * this.#maxEvents + 1000) this.#compact();
    this.#tail.append(entries);
    return ids;
  }

  /** Leaves out of the file what is evicted. */
  #compact(): void {
    const { first } = this.#evicted();
    const kept = readFileSync(this.#path, "utf8")
      .split("\n")
      .flatMap(parseLine)
      .filter((line) => isEpoch(line) || line.seq >= first);
    writeFileSync(`${this.#path}.new`, `${kept.map((line) => JSON.stringify(line)).join("\n")}\n`);
    renameSync(`${this.#path}.new`, this.#path);
    this.#lines = kept.length;
  }

  #evicted(): RecentEvents {
    this.#recent.evict(this.#clock.now());
    return this.#recent;
  }

  position(request: PositionRequest): MaybePromise<Position> {
    const bounds = this.bounds();
    const inherits = (epoch: string): Cursor | undefined => {
      const place = this.#epochs.findIndex((each) => each.epoch === epoch);
      return place === -1 ? undefined : this.#epochs[place + 1]?.begun;
    };
    const lastSeen = parseLastEventId(request.lastEventId, bounds, inherits);
    return this.#recent.position(lastSeen, request, bounds, null);
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Page {
    return this.#evicted().read(after, selectors, limits);
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  bounds(): Bounds {
    const { first, last, events, bytes } = this.#evicted();
    return { epoch: this.#epochs.at(-1)!.epoch, first, last, events, bytes };
  }

  close(): void {
    this.#closed = true;
  }
}

function isEpoch(line: Line): line is EpochLine {
  return "epoch" in line;
}

/** Nothing of a line that the end of a process has torn. */
function parseLine(line: string): Line[] {
  try {
    return [JSON.parse(line) as Line];
  } catch {
    return [];
  }
}
