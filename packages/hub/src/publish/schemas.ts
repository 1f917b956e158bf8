import type { StandardSchemaV1 } from "@standard-schema/spec";
import { HubError } from "../errors.ts";
import type { Message } from "./message.ts";
import type { MaybePromise } from "../log/event-log.ts";
import { parseTopic, SelectorSet } from "../topics/topic.ts";

/** Holds the data of messages against the schema of their topic. */
export class Schemas {
  readonly #byTopic = new Map<string, StandardSchemaV1>();
  readonly #patterns: readonly Rule[];
  readonly #known: string;

  /**
   * @throws HubError `bad-selector` naming the selector and the fault
   * @throws TypeError naming the selector whose schema is none
   */
  constructor(schemas: TopicSchemas) {
    const patterns: Rule[] = [];
    for (const [selector, schema] of Object.entries(schemas)) {
      if (typeof schema?.["~standard"]?.validate !== "function") {
        throw new TypeError(`schemas[${JSON.stringify(selector)}] is no Standard Schema`);
      }
      const selectors = new SelectorSet([selector]);
      if (selectors.topics.length > 0) this.#byTopic.set(selector, schema);
      else patterns.push({ rank: rank(selector), selectors, schema });
    }
    this.#patterns = patterns.toSorted((a, b) => (a.rank < b.rank ? -1 : 1));
    this.#known = Object.keys(schemas).join(", ").slice(0, ISSUE_LENGTH);
  }

  /**
   * The message with the data that its topic's schema makes of it; at once, unless the schema takes its time.
   *
   * @throws HubError `bad-topic` for a topic without a schema, `bad-event` naming what is wrong in the data, and where
   */
  check(topicText: unknown, message: Message): MaybePromise<Message> {
    const topic = parseTopic(topicText);
    const schema =
      this.#byTopic.get(topic) ?? this.#patterns.find(({ selectors }) => selectors.matches(topic))?.schema;
    if (schema === undefined) {
      const name = JSON.stringify(topic.slice(0, 64));
      throw new HubError("bad-topic", `topic ${name} has no schema here; those that do: ${this.#known}`);
    }
    if (message.data === undefined) return message; // only an end may come without; the door for events sees to that
    const result = schema["~standard"].validate(message.data);
    return result instanceof Promise
      ? result.then((found) => withOutput(message, found))
      : withOutput(message, result);
  }
}

/** A schema for each topic, or pattern of topics: any of Standard Schema 1 (https://standardschema.dev). */
export type TopicSchemas = Readonly<Record<string, StandardSchemaV1>>;

/** What publishers hand in, where these are the schemas. */
export type InputOf<Schemas extends TopicSchemas> = {
  [Selector in keyof Schemas]: StandardSchemaV1.InferInput<Schemas[Selector]>;
};

/** What streams carry, where these are the schemas: their outputs. */
export type OutputOf<Schemas extends TopicSchemas> = {
  [Selector in keyof Schemas]: StandardSchemaV1.InferOutput<Schemas[Selector]>;
};

function withOutput(message: Message, result: StandardSchemaV1.Result<unknown>): Message {
  if (result.issues !== undefined) throw new HubError("bad-event", describe(result.issues));
  return result.value === message.data ? message : { ...message, data: result.value };
}

function describe(issues: readonly StandardSchemaV1.Issue[]): string {
  const told = issues
    .slice(0, ISSUES_TOLD)
    .map(({ path = [], message }) => `${pathOf(path)}: ${message}`.slice(0, ISSUE_LENGTH));
  if (issues.length > ISSUES_TOLD) told.push(`and ${issues.length - ISSUES_TOLD} more`);
  return told.join("; ");
}

/** As in JavaScript: `data.items[0].total`. */
function pathOf(path: readonly (PropertyKey | StandardSchemaV1.PathSegment)[]): string {
  let text = "data";
  for (const segment of path) {
    const key = typeof segment === "object" ? segment.key : segment;
    if (typeof key === "string" && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)) text += `.${key}`;
    else text += typeof key === "string" ? `[${JSON.stringify(key)}]` : `[${String(key)}]`;
  }
  return text;
}

/**
 * Of two patterns that match a topic, the more specific has the lesser rank: at the first segment in which they differ, a
 * word comes before `*`, and `*` before `**`. The types of topics go by the same rule.
 */
function rank(selector: string): string {
  return selector
    .split("/")
    .map((segment) => (segment === "*" ? "1" : segment === "**" ? "2" : "0"))
    .join("");
}

interface Rule {
  /** Orders the rules that match a topic: see {@link rank}. */
  readonly rank: string;
  readonly selectors: SelectorSet;
  readonly schema: StandardSchemaV1;
}

/** The issues of a value that a message tells, and the most characters of each. */
const ISSUES_TOLD = 3;
const ISSUE_LENGTH = 256;
