import type { Cursor } from "../event-id.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import type { SqliteFile } from "./file.ts";

/** Topics and sets of selectors whose ids are remembered. */
const MAX_CACHED_TOPICS = 65_536;
const MAX_CACHED_SETS = 256;
/** Names that one slice looks at. */
const NAMES_PER_SLICE = 2000;
/** More topics than these are not read one by one: all events are looked at instead. */
export const MAX_TOPICS = 1024;

/** The topics that a set of selectors has been found to select; null when they are more than {@link MAX_TOPICS}. */
interface Selected {
  ids: number[] | null;
  /** Topics up to this id were looked at: later ones have greater ids. */
  upTo: number;
}

/** The topics of a file, by number. */
export class SqliteTopics {
  readonly #ids = new Map<Topic, number>();
  readonly #selected = new Map<string, Selected>();
  readonly #find;
  readonly #insert;
  readonly #fill;
  readonly #evicted;
  readonly #after;

  constructor(file: SqliteFile) {
    this.#find = file.prepare("SELECT id, empty FROM topics WHERE name = ?");
    this.#insert = file.prepare("INSERT INTO topics (name, evicted, empty) VALUES (?, ?, 0) RETURNING id");
    this.#fill = file.prepare("UPDATE topics SET empty = 0 WHERE id = ?");
    this.#evicted = file.prepare("SELECT evicted FROM topics WHERE name = ?");
    this.#after = file.prepare("SELECT id, name FROM topics WHERE id > ? ORDER BY id LIMIT ?");
  }

  /** The topic's number, for an event that is about to be inserted. @param evicted what to presume of an unknown topic */
  use(topic: Topic, evicted: Cursor): number {
    const known = this.#ids.get(topic);
    if (known !== undefined) return known;
    const [row] = this.#find.values(topic) as [number, number][];
    let id: number;
    if (row === undefined) [[id]] = this.#insert.values(topic, evicted) as [[number]];
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
    this.#selected.clear();
  }

  find(topic: Topic): number | undefined {
    return this.#ids.get(topic) ?? (this.#find.values(topic) as [number, number][])[0]?.[0];
  }

  /** The number of the topic's last evicted event; undefined for a topic that is not known. */
  evicted(topic: Topic): Cursor | undefined {
    return (this.#evicted.values(topic) as [number][])[0]?.[0];
  }

  /**
   * One slice of finding the selected topics.
   *
   * @returns their ids, null when they are too many; undefined when there are more names to look at
   */
  select(selectors: SelectorSet): readonly number[] | null | undefined {
    if (selectors.patterns.length === 0) {
      return selectors.topics.map((topic) => this.find(topic)).filter((id) => id !== undefined);
    }
    let selected = this.#selected.get(selectors.key);
    if (selected === undefined) {
      selected = { ids: [], upTo: 0 };
      if (this.#selected.size >= MAX_CACHED_SETS) this.#selected.delete(this.#selected.keys().next().value!);
      this.#selected.set(selectors.key, selected);
    }
    if (selected.ids === null) return null;
    const names = this.#after.values(selected.upTo, NAMES_PER_SLICE) as [number, Topic][];
    for (const [id, name] of names) {
      selected.upTo = id;
      if (selectors.matches(name)) selected.ids.push(id);
    }
    if (selected.ids.length > MAX_TOPICS) return (selected.ids = null);
    return names.length < NAMES_PER_SLICE ? selected.ids : undefined;
  }
}
