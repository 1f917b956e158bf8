import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub } from "../../hub.ts";
import { parseTopic, SelectorSet } from "../../topics/topic.ts";
import { SqliteLog } from "./index.ts";

/*
 * A log of `LOG_EVENTS` events in a file, and what asking it costs: `LOG_EVENTS=10000000 bun test` with the path of this
 * file. The answers are checked, also of a small log when nothing is said; the times are printed only.
 */
const EVENTS = Number(process.env.LOG_EVENTS ?? 20_000);
const isMeasured = process.env.LOG_EVENTS !== undefined;
const BATCH = 1000;
const PAYLOAD = "x".repeat(64);

const RARE = EVENTS / 1000;
const FEW = EVENTS / 100;

/** A thousand are of a rare topic, a hundred of ten topics; the others of 5,000. */
function topicOf(at: number): string {
  if (at % RARE === RARE / 2) return "rare/topic";
  if (at % FEW === 7) return `few/${Math.floor(at / FEW) % 10}/x`;
  return `many/${at % 5000}`;
}

const report = (what: string, value: string): void => {
  if (isMeasured) console.log(`${what.padEnd(58)}${value.padStart(16)}`);
};

async function timed<T>(what: string, run: () => T | Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await run();
  report(what, `${(performance.now() - begin).toFixed(1)} ms`);
  return result;
}

/** Publishes events of these numbers in batches, and returns the longest that the event loop stood still. */
async function publish(log: SqliteLog, from: number, upTo: number): Promise<{ lag: number; rate: number }> {
  const hub = createHub({ log });
  let lag = 0;
  let seen = performance.now();
  const watch = setInterval(() => {
    const now = performance.now();
    lag = Math.max(lag, now - seen);
    seen = now;
  }, 1);
  const begin = performance.now();
  for (let at = from; at < upTo; at += BATCH) {
    await hub.publishMany(
      Array.from({ length: Math.min(BATCH, upTo - at) }, (_, i) => ({
        topic: topicOf(at + i),
        data: PAYLOAD,
      })),
    );
  }
  const seconds = (performance.now() - begin) / 1000;
  clearInterval(watch);
  return { lag, rate: (upTo - from) / seconds };
}

test(`a log of ${EVENTS} events answers at once`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sse-size-"));
  const path = join(folder, "events.db");
  const unbounded = { maxEvents: null, maxBytes: null, maxAge: null };
  try {
    let log = new SqliteLog(path, unbounded);
    const built = await publish(log, 0, EVENTS);
    report("publishMany, 1,000 events each", `${Math.round(built.rate)}/s`);
    report("longest stall meanwhile", `${built.lag.toFixed(1)} ms`);
    report("-wal", `${(statSync(`${path}-wal`).size / 2 ** 20).toFixed(1)} MiB`);
    await timed("close", () => log.close());
    report("file", `${(statSync(path).size / 2 ** 20).toFixed(0)} MiB`);
    log = await timed("open", () => new SqliteLog(path, unbounded));
    expect(log.bounds()).toMatchObject({ first: 1, last: EVENTS, events: EVENTS });

    const ask = (
      selectors: SelectorSet,
      more: { lastEventId?: string; replay?: number; counted?: boolean },
    ) => log.position({ selectors, lastEventId: "", replay: 0, counted: false, ...more });
    const lastOf = async (name: string, count: number): Promise<void> => {
      const selectors = new SelectorSet([name]);
      const expected: number[] = [];
      for (let at = EVENTS - 1; at >= 0 && expected.length < count; at--) {
        if (selectors.matches(parseTopic(topicOf(at)))) expected.unshift(at + 1);
      }
      const { cursor } = await timed(`where the last ${count} of ${name} begin`, () =>
        ask(selectors, { replay: count }),
      );
      const seqs: number[] = [];
      await timed(`replay of the last ${count} of ${name}`, async () => {
        for (let after = cursor; after < EVENTS;) {
          const page = await log.read(after, selectors, { bytes: 65_536, upTo: EVENTS });
          seqs.push(...page.entries.map(({ seq }) => seq));
          after = page.cursor;
        }
      });
      expect(seqs).toEqual(expected);
      await timed(`count of all of ${name}`, () => ask(selectors, { replay: Infinity, counted: true }));
    };
    await lastOf("rare/topic", 10);
    await lastOf("few/*/x", 10);
    await lastOf("few/3/**", 10);
    const middle = Math.floor(EVENTS / 2);
    for (const name of ["rare/topic", "many/8", "few/*/x", "**"]) {
      const { entries } = await timed(`first page of ${name} from an id in the middle`, () =>
        log.read(middle, new SelectorSet([name]), { bytes: 65_536, upTo: EVENTS }),
      );
      expect(entries[0]!.seq).toBeGreaterThan(middle);
    }
    log.close();

    const full = { ...unbounded, maxEvents: EVENTS };
    log = new SqliteLog(path, full);
    const more = Math.min(EVENTS, 500_000);
    const evicting = await publish(log, EVENTS, EVENTS + more);
    report("publishMany while as much is evicted", `${Math.round(evicting.rate)}/s`);
    report("longest stall meanwhile", `${evicting.lag.toFixed(1)} ms`);
    expect(log.bounds()).toMatchObject({ first: more + 1, events: EVENTS });
    log.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 3_600_000);
