import { HubError } from "../errors.ts";

/** A topic that went through {@link parseTopic}: path-like, printable, 1 to 1,024 bytes of UTF-8. */
export type Topic = string & { readonly __brand: "Topic" };

/**
 * The one door for topics.
 *
 * @throws HubError `bad-topic` when the text is no topic, saying why.
 */
export function parseTopic(text: unknown): Topic {
  if (text === lastTopic) return lastTopic;
  if (typeof text !== "string") throw new HubError("bad-topic", "topic must be a string");
  if (text.length <= MAX_TOPIC_BYTES && PLAIN.test(text)) return (lastTopic = text as Topic);
  if (text.includes("*")) {
    throw new HubError("bad-topic", `topic ${shown(text)} is a pattern; publish to one topic, without "*"`);
  }
  const wrong = fault(text);
  if (wrong !== null) throw new HubError("bad-topic", `topic ${shown(text)} ${wrong}`);
  return text as Topic;
}

/** A selector with wildcards, by its segments; `rest` when it ended in `**`. */
export interface Pattern {
  readonly segments: readonly string[];
  readonly rest: boolean;
}

/**
 * What a stream asks for: any number of topics and patterns. `*` stands for exactly one segment, a final `**` for one
 * or more. Two sets that select the same by the same words have the same `key`.
 */
export class SelectorSet {
  /** The same for sets of the same selectors. */
  readonly key: string;
  /** Those without a wildcard. */
  readonly topics: readonly Topic[];
  /** Those with one. */
  readonly patterns: readonly Pattern[];
  /** The most comparisons that it takes to {@link matches} a topic: what is done for many topics is divided by it. */
  readonly cost: number;
  /** The topics, where they are many. */
  readonly #topicSet: ReadonlySet<Topic> | null;

  /**
   * @param selectors at least one; duplicates are dropped
   * @throws HubError `bad-selector` naming the selector and the fault
   */
  constructor(selectors: readonly string[]) {
    if (selectors.length === 0) throw new HubError("bad-selector", "at least one topic is needed");
    const distinct = selectors.length === 1 ? selectors : [...new Set(selectors)].toSorted();
    const patterns = distinct.filter((selector) => selector.includes("*"));
    this.patterns = patterns.length === 0 ? NO_PATTERNS : patterns.map(parsePattern);
    this.topics = distinct.filter((selector) => !selector.includes("*")).map(parseSelectorTopic);
    const segments = this.patterns.reduce((sum, pattern) => sum + pattern.segments.length, 0);
    if (segments > MAX_PATTERN_SEGMENTS) {
      throw new HubError(
        "bad-selector",
        `the patterns have ${segments} segments in all, more than the limit of ${MAX_PATTERN_SEGMENTS}; ask for less`,
      );
    }
    this.key = distinct.join(" "); // a selector cannot hold a space
    this.cost = 1 + this.patterns.length + segments;
    this.#topicSet = this.topics.length > FEW ? new Set(this.topics) : null;
  }

  /** The selectors as they were asked for. */
  get words(): readonly string[] {
    return this.key.split(" ");
  }

  /** True when one of the patterns is `**`. */
  get selectsAll(): boolean {
    return this.patterns.some(({ segments, rest }) => rest && segments.length === 0);
  }

  /** True when one of them selects the topic. */
  matches(topic: Topic): boolean {
    if (this.hasTopic(topic)) return true;
    for (const pattern of this.patterns) if (patternMatches(pattern, topic)) return true;
    return false;
  }

  /** True when it is one of {@link topics}. */
  hasTopic(topic: Topic): boolean {
    return this.#topicSet === null ? this.topics.includes(topic) : this.#topicSet.has(topic);
  }
}

/** The most bytes of UTF-8 in a topic or a selector. */
export const MAX_TOPIC_BYTES = 1024;

function fault(text: string): string | null {
  if (text.length === 0) return "is empty";
  if (FORBIDDEN.test(text)) return "holds a space or a character that does not print";
  if (text.length > MAX_TOPIC_BYTES || Buffer.byteLength(text) > MAX_TOPIC_BYTES) {
    return `is longer than ${MAX_TOPIC_BYTES} bytes`;
  }
  return null;
}

/** Cut for messages: a refused value may be a megabyte. */
function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** The most segments in all patterns of a stream: what one event may cost it to be matched. */
const MAX_PATTERN_SEGMENTS = 256;

const PLAIN = /^[!-)+-~]+$/; // ASCII without space and "*": nearly every topic there is
const FORBIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u; // controls, invisible formatting, lone surrogates, any kind of space

/** Events that come together are often of one topic: then all of them hold this one text, whose hash is known. */
let lastTopic = "default" as Topic;

/** So many topics are found sooner one after the other than in a set. */
const FEW = 4;

const NO_PATTERNS: readonly Pattern[] = [];

function parseSelectorTopic(text: string): Topic {
  const wrong = PLAIN.test(text) && text.length <= MAX_TOPIC_BYTES ? null : fault(text);
  if (wrong !== null) throw new HubError("bad-selector", `topic ${shown(text)} ${wrong}`);
  return text as Topic;
}

function parsePattern(text: string): Pattern {
  const wrong = fault(text);
  if (wrong !== null) throw new HubError("bad-selector", `topic ${shown(text)} ${wrong}`);
  const segments = text.split("/");
  const rest = segments.at(-1) === "**";
  if (rest) segments.pop();
  const stray = segments.find((segment) => segment !== "*" && segment.includes("*"));
  if (stray !== undefined) {
    const advice = stray === "**" ? '"**" stands only at the end' : '"*" stands for a whole segment';
    throw new HubError("bad-selector", `topic ${shown(text)} is no pattern: ${advice}`);
  }
  return { segments, rest };
}

/** Looks at no more of the topic than the pattern needs: one of 1,024 bytes can have as many segments. */
function patternMatches({ segments, rest }: Pattern, topic: string): boolean {
  let at = 0;
  for (const segment of segments) {
    if (at > topic.length) return false;
    let end: number;
    if (segment === "*") {
      const slash = topic.indexOf("/", at);
      end = slash === -1 ? topic.length : slash;
    } else {
      if (!topic.startsWith(segment, at)) return false;
      end = at + segment.length;
      if (end < topic.length && topic.charCodeAt(end) !== SLASH) return false;
    }
    at = end + 1;
  }
  return rest ? at <= topic.length : at === topic.length + 1;
}

const SLASH = 47;
