export const APPLICATION_ID = 0x53_53_45_31; // "SSE1"
export const SCHEMA_VERSION = 4;

/** One row for each opening that began an epoch; begun: the last event before it. */
const EPOCHS =
  "CREATE TABLE epochs (number INTEGER PRIMARY KEY, name TEXT NOT NULL, begun INTEGER NOT NULL);";

/** 1 for data that was published as JSON. Last, where an upgrade adds it. */
const JSON_COLUMN = "json INTEGER NOT NULL DEFAULT 0";

const EMPTY_TOPICS = `
  CREATE INDEX empty_topics ON topics (evicted) WHERE empty AND NOT ended;
  CREATE INDEX ended_topics ON topics (evicted, ended) WHERE ended;
`;

export const SCHEMA = `
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
  CREATE TABLE log (last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL); -- one row
  INSERT INTO log VALUES (0, 0, 0);
  ${EPOCHS}
  -- evicted: the last event that is no longer here; empty: 1 when no event is here;
  -- ended: when that was evicted, if it ended the topic and none came after it, else 0.
  CREATE TABLE topics (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, evicted INTEGER NOT NULL,
    empty INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0);
  ${EMPTY_TOPICS}
  CREATE TABLE events (seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL,
    "end" INTEGER NOT NULL, key TEXT NOT NULL, publish_id TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
    ${JSON_COLUMN});
  CREATE INDEX events_by_topic ON events (topic); -- and by seq, which every index ends with
  CREATE INDEX events_by_publish_id ON events (topic, publish_id) WHERE publish_id <> '';
  -- The newest event of each topic and key.
  CREATE TABLE newest (topic INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
`;

/** By the version that a file has: what makes it one of the next version. */
export const UPGRADES: Readonly<Record<number, string>> = {
  1: `
    ${EPOCHS}
    INSERT INTO epochs SELECT 1, epoch, 0 FROM log;
    ALTER TABLE log DROP COLUMN epoch;
    ALTER TABLE log DROP COLUMN boot;
    PRAGMA user_version = 2;
  `,
  2: `
    DROP INDEX empty_topics;
    ALTER TABLE topics ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
    ${EMPTY_TOPICS}
    PRAGMA user_version = 3;
  `,
  3: `
    ALTER TABLE events ADD COLUMN ${JSON_COLUMN};
    PRAGMA user_version = 4;
  `,
};
