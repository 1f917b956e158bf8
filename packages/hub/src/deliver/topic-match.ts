import type { Topic } from "../topics/topic.ts";
import type { Cohort } from "./cohort.ts";
import type { Stream } from "./stream.ts";

/** A place in the tree of all patterns, by their segments. */
export interface PatternNode {
  readonly children: Map<string, PatternNode>;
  /** Cohorts with a pattern that ends here. */
  readonly here: Set<Cohort<Stream>>;
  /** Cohorts with a pattern that goes on with `**`. */
  readonly rest: Set<Cohort<Stream>>;
}

export const createNode = (): PatternNode => ({ children: new Map(), here: new Set(), rest: new Set() });

/** Finds the cohorts that want a topic, in as many goes as one likes: cohorts may come and go in between. */
export class TopicMatch {
  /** Null: none. */
  topic: Topic | null = null;
  /** A cohort that has several reasons is here more than once; one that has come meanwhile too, one that has gone still. */
  found: Cohort<Stream>[] = [];
  /** What is left to be looked at, with its depth. */
  #nodes: PatternNode[] = [];
  #depths: number[] = [];
  /** Those of the topic, as far as patterns have asked for them: there can be hundreds. */
  #segments: string[] = [];
  #parsed = 0;

  /** @param patterns their tree; null when there are none */
  begin(
    topic: Topic,
    cohorts: Cohort<Stream> | ReadonlySet<Cohort<Stream>> | undefined,
    patterns: PatternNode | null,
  ): void {
    this.clear();
    this.topic = topic;
    if (cohorts instanceof Set) for (const cohort of cohorts) this.found.push(cohort);
    else if (cohorts !== undefined) this.found.push(cohorts as Cohort<Stream>);
    if (patterns !== null) this.#add(patterns, 0);
  }

  /** Lets go of what was found. */
  clear(): void {
    if (this.topic === null) return;
    this.topic = null;
    this.found = [];
    if (this.#parsed === 0 && this.isDone) return;
    this.#nodes = [];
    this.#depths = [];
    this.#segments = [];
    this.#parsed = 0;
  }

  get isDone(): boolean {
    return this.#nodes.length === 0;
  }

  /** @returns what is left of the steps */
  goOn(steps: number): number {
    while (this.#nodes.length > 0 && steps > 0) {
      const node = this.#nodes.pop()!;
      const depth = this.#depths.pop()!;
      const segment = this.#segment(depth);
      const cohorts = segment === undefined ? node.here : node.rest;
      for (const cohort of cohorts) this.found.push(cohort);
      steps -= MATCH_STEPS + cohorts.size;
      if (segment === undefined) continue;
      const star = node.children.get("*");
      if (star !== undefined) this.#add(star, depth + 1);
      const exact = node.children.get(segment);
      if (exact !== undefined) this.#add(exact, depth + 1);
    }
    return steps;
  }

  #add(node: PatternNode, depth: number): void {
    this.#nodes.push(node);
    this.#depths.push(depth);
  }

  #segment(depth: number): string | undefined {
    const topic = this.topic!;
    while (this.#segments.length <= depth && this.#parsed <= topic.length) {
      const slash = topic.indexOf("/", this.#parsed);
      const end = slash === -1 ? topic.length : slash;
      this.#segments.push(topic.slice(this.#parsed, end));
      this.#parsed = end + 1;
    }
    return this.#segments[depth];
  }
}

/** What it takes to look at a node, or to hand an event to a cohort, in steps of {@link Clock.turnSteps}. */
export const MATCH_STEPS = 8;
