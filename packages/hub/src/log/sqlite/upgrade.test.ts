import { afterAll, expect, test } from "bun:test";
import { appendAtOnce } from "../../../test/append-at-once.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { change, rowsOf } from "../../../test/database.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import { SqliteLog } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sse-upgrade-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TABLES = `
  PRAGMA application_id = 1397966129;
  CREATE TABLE topics (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, evicted INTEGER NOT NULL, empty INTEGER NOT NULL);
  CREATE INDEX empty_topics ON topics (evicted) WHERE empty;
  CREATE TABLE events (seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL,
    "end" INTEGER NOT NULL, key TEXT NOT NULL, publish_id TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL);
  CREATE INDEX events_by_topic ON events (topic); -- and by seq, which every index ends with
  CREATE INDEX events_by_publish_id ON events (topic, publish_id) WHERE publish_id <> '';
  CREATE TABLE newest (topic INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
`;

/** As these versions made their files. */
const VERSIONS: Readonly<Record<number, string>> = {
  1: `
    PRAGMA user_version = 1;
    CREATE TABLE log (epoch TEXT NOT NULL, last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL, boot TEXT NOT NULL);
    INSERT INTO log VALUES ('oldoldold1', 4, 900, 0, '');
  `,
  2: `
    PRAGMA user_version = 2;
    CREATE TABLE log (last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL);
    INSERT INTO log VALUES (4, 900, 0);
    CREATE TABLE epochs (number INTEGER PRIMARY KEY, name TEXT NOT NULL, begun INTEGER NOT NULL);
    INSERT INTO epochs VALUES (1, 'oldoldold1', 0);
  `,
  3: `
    PRAGMA user_version = 3;
    CREATE TABLE log (last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL);
    INSERT INTO log VALUES (4, 900, 0);
    CREATE TABLE epochs (number INTEGER PRIMARY KEY, name TEXT NOT NULL, begun INTEGER NOT NULL);
    INSERT INTO epochs VALUES (1, 'oldoldold1', 0);
    DROP INDEX empty_topics;
    ALTER TABLE topics ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX empty_topics ON topics (evicted) WHERE empty AND NOT ended;
    CREATE INDEX ended_topics ON topics (evicted, ended) WHERE ended;
  `,
};

/** Of five topics one is empty: its event, 1, is evicted. */
const ROWS = `
  INSERT INTO topics (id, name, evicted, empty) VALUES (1, 'gone', 1, 1), (2, 'a', 0, 0), (3, 'done', 0, 0);
  INSERT INTO events VALUES
    (2, 2, 1000, 300, 0, 'k', 'p', '', 'two'), (3, 2, 1000, 300, 0, '', '', 'named', 'three'),
    (4, 3, 1000, 300, 1, '', '', '', '');
  INSERT INTO newest VALUES (2, 'k', 2), (2, '', 3);
`;

test.each([1, 2, 3])(
  "a file of version %p is gone on with, ids and all, and learns of ends and of JSON",
  async (version) => {
    const path = join(folder, `${version}.db`);
    change(path, `PRAGMA journal_mode = WAL; ${TABLES}${VERSIONS[version]!}${ROWS}`);
    const open = () =>
      new SqliteLog(path, {
        date: () => 2000,
        maxEvents: 4,
        window: { maxEvents: 1 },
      });
    const ask = (log: SqliteLog, topics: string[], lastEventId: string) =>
      log.position({ selectors: new SelectorSet(topics), lastEventId, replay: 0, counted: true });
    let log = open();
    expect(log.begun).toBeNull();
    expect(log.bounds()).toMatchObject({ first: 2, last: 4, events: 3, bytes: 900 });
    expect(await ask(log, ["a", "done", "gone"], "oldoldold1-1")).toMatchObject({
      resume: "resumed",
      gap: null,
      replayed: 3,
      ends: [0, 4, 0],
    });
    expect(await ask(log, ["gone"], "oldoldold1-0")).toMatchObject({ gap: "evicted", cursor: 1 });
    const { entries } = await log.read(0, new SelectorSet(["a"]), { bytes: Infinity, upTo: Infinity });
    expect(entries.map(({ json }) => json)).toEqual([false, false]);
    expect(entries.map(({ wire }) => wire)).toEqual([
      "data: two\nid: oldoldold1-2\n\n",
      expect.stringContaining("event: named\n"),
    ]);
    expect(appendAtOnce(log, [newEvent("a", "two", { idempotencyKey: "p" })])).toEqual([
      "oldoldold1-2" as never,
    ]);
    appendAtOnce(
      log,
      [1, 2, 3, 4].map((at) => newEvent("b", `${at}`, { json: at > 2 })),
    );
    log.close();
    log = open();
    const kept = await log.read(0, new SelectorSet(["b"]), { bytes: Infinity, upTo: Infinity });
    expect(kept.entries.map(({ json }) => json)).toEqual([false, false, true, true]);
    expect(log.bounds()).toMatchObject({ first: 5, last: 8 });
    const done = await ask(log, ["done"], "oldoldold1-3");
    expect(done).toMatchObject({ gap: "evicted", ends: [4] });
    expect(done.cursor).toBeGreaterThanOrEqual(4);
    expect(await ask(log, ["done"], "oldoldold1-4")).toMatchObject({ gap: null, ends: [4] });
    log.close();
    const fresh = join(folder, `fresh-${version}.db`);
    new SqliteLog(fresh).close();
    const schema = (of: string) => rowsOf(of, "SELECT type, name FROM sqlite_schema ORDER BY name");
    expect(schema(path)).toEqual(schema(fresh));
  },
);
