import type { Stream } from "./stream.ts";
import type { Pattern, SelectorSet, Topic } from "../topics/topic.ts";
import { Cohort as CohortOf } from "./cohort.ts";
import { createNode, type PatternNode, TopicMatch } from "./topic-match.ts";

/** The cohorts. Finds those that want a topic, at a cost in proportion to those that match, however many there are. */
export class Cohorts {
  /** A topic that one cohort wants, as a private one, needs no set. */
  readonly #topics = new Map<Topic, Cohort | Set<Cohort>>();
  readonly #patterns = createNode();
  #patternCount = 0;
  readonly #cohorts = new Map<string, Cohort>();
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

  /** The cohort of all that ask for these, which is made when there is none. */
  cohortOf(selectors: SelectorSet): Cohort {
    let cohort = this.#cohorts.get(selectors.key);
    if (cohort !== undefined) return cohort;
    cohort = new CohortOf(selectors);
    this.#cohorts.set(selectors.key, cohort);
    this.#add(cohort);
    // A match that is under way may have passed its place.
    const { topic, found } = this.#match;
    if (topic !== null && selectors.matches(topic)) found.push(cohort);
    return cohort;
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
    this.#cohorts.delete(cohort.selectors.key);
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

  /** Lets go of the cohorts that were found. */
  forgetMatch(): void {
    this.#match.clear();
  }

  #begin(match: TopicMatch, topic: Topic): void {
    match.begin(topic, this.#topics.get(topic), this.#patternCount > 0 ? this.#patterns : null);
  }
}

type Cohort = CohortOf<Stream>;
