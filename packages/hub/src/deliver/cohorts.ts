import type { Stream } from "./stream.ts";
import type { StreamRequest } from "../subscribe/request.ts";
import type { Pattern, SelectorSet, Topic } from "../topics/topic.ts";
import { Cohort as CohortOf } from "./cohort.ts";
import { Encoding } from "./encoding.ts";
import { createNode, type PatternNode, TopicMatch } from "./topic-match.ts";

/** The cohorts. Finds those that want a topic, at a cost in proportion to those that match, however many there are. */
export class Cohorts {
  /** A topic that one cohort wants, as a private one, needs no set. */
  readonly #topics = new Map<Topic, Cohort | Set<Cohort>>();
  readonly #patterns = createNode();
  #patternCount = 0;
  readonly #cohorts = new Map<string, Cohort>();
  /** By their keys; none while all streams are plain. */
  readonly #encodings = new Map<string, Encoding>();
  /** The last match, until it is forgotten: one for all events, as most are done with at once. */
  readonly #match = new TopicMatch();

  get size(): number {
    return this.#cohorts.size;
  }

  all(): Iterable<Cohort> {
    return this.#cohorts.values();
  }

  /** How many streams want the topic. */
  members(topic: Topic): number {
    const match = new TopicMatch();
    this.#begin(match, topic);
    match.goOn(Infinity);
    let members = 0;
    for (const cohort of new Set(match.found)) members += cohort.members;
    return members;
  }

  /** The cohort of all that ask for these in this form, which is made when there is none. */
  cohortOf(selectors: SelectorSet, { envelope, control }: Form = {}): Cohort {
    const encoding = this.#encoding(envelope === "json", control === "comment");
    const key = keyOf(selectors, encoding);
    let cohort = this.#cohorts.get(key);
    if (cohort !== undefined) return cohort;
    cohort = new CohortOf(selectors, encoding);
    this.#cohorts.set(key, cohort);
    this.#add(cohort);
    // A match that is under way may have passed its place.
    const { topic, found } = this.#match;
    if (topic !== null && selectors.matches(topic)) found.push(cohort);
    return cohort;
  }

  #encoding(envelope: boolean, comments: boolean): Encoding | null {
    if (!envelope && !comments) return null;
    const made = new Encoding(envelope, comments);
    const known = this.#encodings.get(made.key);
    if (known !== undefined) return known;
    this.#encodings.set(made.key, made);
    return made;
  }

  #add(cohort: Cohort): void {
    for (const topic of cohort.selectors.topics) {
      const cohorts = this.#topics.get(topic);
      if (cohorts === undefined) this.#topics.set(topic, cohort);
      else if (cohorts instanceof Set) cohorts.add(cohort);
      else this.#topics.set(topic, new Set([cohorts, cohort]));
    }
    for (const pattern of cohort.selectors.patterns) this.#addPattern(pattern, cohort);
  }

  #addPattern({ segments, rest }: Pattern, cohort: Cohort): void {
    let node = this.#patterns;
    for (const segment of segments) {
      let child = node.children.get(segment);
      if (child === undefined) node.children.set(segment, (child = createNode()));
      node = child;
    }
    (rest ? node.rest : node.here).add(cohort);
    this.#patternCount++;
  }

  remove(cohort: Cohort): void {
    this.#cohorts.delete(keyOf(cohort.selectors, cohort.encoding));
    for (const topic of cohort.selectors.topics) {
      const cohorts = this.#topics.get(topic);
      if (cohorts instanceof Set) cohorts.delete(cohort);
      if (cohorts === cohort || (cohorts instanceof Set && cohorts.size === 0)) this.#topics.delete(topic);
    }
    for (const pattern of cohort.selectors.patterns) {
      this.#removePattern(this.#patterns, pattern, 0, cohort);
      this.#patternCount--;
    }
  }

  #removePattern(node: PatternNode, pattern: Pattern, depth: number, cohort: Cohort): void {
    const segment = pattern.segments[depth];
    if (segment === undefined) {
      (pattern.rest ? node.rest : node.here).delete(cohort);
      return;
    }
    const child = node.children.get(segment)!;
    this.#removePattern(child, pattern, depth + 1, cohort);
    if (child.children.size + child.here.size + child.rest.size === 0) node.children.delete(segment);
  }

  /** Those that want the topic: a match to be gone on with, the same one until it is forgotten or another topic's is asked for. */
  match(topic: Topic): TopicMatch {
    if (this.#match.topic !== topic) this.#begin(this.#match, topic);
    return this.#match;
  }

  /** Lets go of the cohorts that were found, and of the event that was encoded for them. */
  forgetMatch(): void {
    this.#match.clear();
    if (this.#encodings.size > 0) for (const encoding of this.#encodings.values()) encoding.forget();
  }

  #begin(match: TopicMatch, topic: Topic): void {
    match.begin(topic, this.#topics.get(topic), this.#patternCount > 0 ? this.#patterns : null);
  }
}

type Cohort = CohortOf<Stream>;
/** What of a request its encoding goes by. */
type Form = Pick<StreamRequest, "envelope" | "control">;

function keyOf(selectors: SelectorSet, encoding: Encoding | null): string {
  return encoding === null ? selectors.key : encoding.key + selectors.key;
}
