import type { Cursor } from "../event-id.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import type { SqliteFile } from "./file.ts";

/** The topics of a file, by number. */
export class SqliteTopics {
  readonly #ids = new Map<Topic, number>();
  readonly #selections = new Map<string, Selection>();
  readonly #find;
  readonly #insert;
  readonly #fill;
  readonly #evicted;
  readonly #end;
  readonly #after;

  constructor(file: SqliteFile) {
    this.#find = file.prepare("SELECT id, empty FROM topics WHERE name = ?");
    this.#insert = file.prepare("INSERT INTO topics (name, evicted, empty) VALUES (?, ?, 0) RETURNING id");
    this.#fill = file.prepare("UPDATE topics SET empty = 0, ended = 0 WHERE id = ?");
    this.#evicted = file.prepare("SELECT evicted FROM topics WHERE name = ?");
    this.#end = file.prepare(
      `SELECT coalesce(
         (SELECT iif("end", seq, 0) FROM events INDEXED BY events_by_topic WHERE topic = id ORDER BY seq DESC LIMIT 1),
         iif(ended, evicted, 0)
       ) FROM topics WHERE name = ?`,
    );
    this.#after = file.prepare("SELECT id, name FROM topics WHERE id > ? ORDER BY id LIMIT ?");
  }

  /** The topic's number, for an event that is about to be inserted. @param evicted what to presume of an unknown topic */
  use(topic: Topic, evicted: Cursor): number {
    const known = this.#ids.get(topic);
    if (known !== undefined) return known;
    const [row] = this.#find.all(topic) as [number, number][];
    let id: number;
    if (row === undefined) [[id]] = this.#insert.all(topic, evicted) as [[number]];
    else {
      [id] = row;
      if (row[1] !== 0) this.#fill.run(id);
    }
    if (this.#ids.size >= MAX_CACHED_TOPICS) this.#ids.clear();
    this.#ids.set(topic, id);
    return id;
  }

  /** Its events are gone, and it may be next. */
  forget(topic: Topic): void {
    this.#ids.delete(topic);
  }

  /** What was written to the file was taken back. */
  rollBack(): void {
    this.#ids.clear();
  }

  find(topic: Topic): number | undefined {
    return this.#ids.get(topic) ?? (this.#find.all(topic) as [number, number][])[0]?.[0];
  }

  /** The number of the topic's last evicted event; undefined for a topic that is not known. */
  evicted(topic: Topic): Cursor | undefined {
    return (this.#evicted.all(topic) as [number][])[0]?.[0];
  }

  /** The number of the event that ended the topic, which may be evicted; 0 when it has not ended, as far as is known. */
  end(topic: Topic): Cursor {
    return (this.#end.all(topic) as [Cursor][])[0]?.[0] ?? 0;
  }

  /** What {@link select} fills: the same one for the same selectors, while it is remembered. */
  selection(selectors: SelectorSet): Selection {
    let selection = this.#selections.get(selectors.key);
    if (selection === undefined) {
      selection = { selectors, ids: [], upTo: 0 };
      if (this.#selections.size >= MAX_CACHED_SETS)
        this.#selections.delete(this.#selections.keys().next().value!);
      this.#selections.set(selectors.key, selection);
    }
    return selection;
  }

  /** One slice of finding the selected topics. True when there are no more names to look at. */
  select(selection: Selection): boolean {
    const { selectors, ids, upTo } = selection;
    if (ids === null) return true;
    const names = this.#after.all(upTo, NAMES_PER_SLICE) as [number, Topic][];
    for (const [id, name] of names) {
      selection.upTo = id;
      if (selectors.matches(name)) ids.push(id);
    }
    if (ids.length > MAX_TOPICS) selection.ids = null;
    return selection.ids === null || names.length < NAMES_PER_SLICE;
  }
}

/** The topics that a set of selectors has been found to select. */
export interface Selection {
  readonly selectors: SelectorSet;
  /** Null when they are more than {@link MAX_TOPICS}. */
  ids: number[] | null;
  /** Topics up to this id were looked at: later ones have greater ids. */
  upTo: number;
}

/** Topics and sets of selectors whose ids are remembered. */
const MAX_CACHED_TOPICS = 65_536;
const MAX_CACHED_SETS = 256;
/** Names that one slice looks at. */
const NAMES_PER_SLICE = 2000;
/** More topics than these are not read one by one: all events are looked at instead. */
export const MAX_TOPICS = 1024;
