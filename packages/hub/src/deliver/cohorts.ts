import type { Stream } from "./stream.ts";
import type { Pattern, SelectorSet, Topic } from "../topics/topic.ts";
import { Cohort as CohortOf } from "./cohort.ts";

/** The cohorts. Finds those that want a topic, at a cost in proportion to those that match, however many there are. */
export class Cohorts {
  /** A topic that one cohort wants, as a private one, needs no set. */
  readonly #topics = new Map<Topic, Cohort | Set<Cohort>>();
  readonly #patterns = createNode();
  #patternCount = 0;
  readonly #cohorts = new Map<string, Cohort>();

  get size(): number {
    return this.#cohorts.size;
  }

  all(): Iterable<Cohort> {
    return this.#cohorts.values();
  }

  /** How many streams want the topic. */
  members(topic: Topic): number {
    const cohorts = new Set<Cohort>();
    this.match(topic, (cohort) => cohorts.add(cohort));
    let members = 0;
    for (const cohort of cohorts) members += cohort.members;
    return members;
  }

  /** The cohort of all that ask for these, which is made when there is none. */
  cohortOf(selectors: SelectorSet): Cohort {
    let cohort = this.#cohorts.get(selectors.key);
    if (cohort !== undefined) return cohort;
    cohort = new CohortOf(selectors);
    this.#cohorts.set(selectors.key, cohort);
    this.#add(cohort);
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

  #removePattern(node: Node, pattern: Pattern, depth: number, cohort: Cohort): void {
    const segment = pattern.segments[depth];
    if (segment === undefined) {
      (pattern.rest ? node.rest : node.here).delete(cohort);
      return;
    }
    const child = node.children.get(segment)!;
    this.#removePattern(child, pattern, depth + 1, cohort);
    if (child.children.size + child.here.size + child.rest.size === 0) node.children.delete(segment);
  }

  /** Calls back with each cohort that wants the topic; more than once with a cohort that has several reasons to. */
  match(topic: Topic, found: (cohort: Cohort) => void): void {
    const cohorts = this.#topics.get(topic);
    if (cohorts instanceof Set) for (const cohort of cohorts) found(cohort);
    else if (cohorts !== undefined) found(cohorts);
    if (this.#patternCount > 0) this.#matchPatterns(this.#patterns, topic.split("/"), 0, found);
  }

  #matchPatterns(
    node: Node,
    segments: readonly string[],
    depth: number,
    found: (cohort: Cohort) => void,
  ): void {
    if (depth === segments.length) {
      for (const cohort of node.here) found(cohort);
      return;
    }
    for (const cohort of node.rest) found(cohort);
    const exact = node.children.get(segments[depth]!);
    if (exact !== undefined) this.#matchPatterns(exact, segments, depth + 1, found);
    const star = node.children.get("*");
    if (star !== undefined) this.#matchPatterns(star, segments, depth + 1, found);
  }
}

type Cohort = CohortOf<Stream>;

interface Node {
  readonly children: Map<string, Node>;
  /** Cohorts with a pattern that ends here. */
  readonly here: Set<Cohort>;
  /** Cohorts with a pattern that goes on with `**`. */
  readonly rest: Set<Cohort>;
}

const createNode = (): Node => ({ children: new Map(), here: new Set(), rest: new Set() });
