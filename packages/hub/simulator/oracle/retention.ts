import type { Accepted, Chronicle } from "./chronicle.ts";

/** What a log may keep, counted anew: the oldest events go first, as few as will do. */
export class RetentionModel {
  readonly #limits: { readonly maxEvents: number; readonly maxBytes: number; readonly maxAge: number };
  readonly #kept: Accepted[] = [];
  bytes = 0;
  /** The oldest event that the bounds allow. */
  first: number;

  constructor(limits: RetentionModel["limits"], after: number) {
    this.#limits = limits;
    this.first = after + 1;
  }

  get limits(): { readonly maxEvents: number; readonly maxBytes: number; readonly maxAge: number } {
    return this.#limits;
  }

  get events(): number {
    return this.#kept.length;
  }

  add(event: Accepted): void {
    this.#kept.push(event);
    this.bytes += event.size;
  }

  evict(now: number): void {
    const { maxEvents, maxBytes, maxAge } = this.#limits;
    for (let oldest = this.#kept[0]; oldest !== undefined; oldest = this.#kept[0]) {
      if (this.#kept.length <= maxEvents && this.bytes <= maxBytes && now - oldest.time <= maxAge) return;
      this.#kept.shift();
      this.bytes -= oldest.size;
      this.first = oldest.seq + 1;
    }
  }

  /** The store no longer has what is before this, or after that. */
  cut(chronicle: Chronicle): void {
    const kept = this.#kept.splice(0).filter((event) => chronicle.current!.find(event.seq) === event);
    this.#kept.push(...kept);
    this.bytes = kept.reduce((sum, { size }) => sum + size, 0);
  }
}
