/** What was found wrong, by which check. */
export interface Violation {
  /** The check, as in docs/testing.md. */
  readonly check: Check;
  readonly message: string;
}

/** What is checked. */
export type Check =
  | "order"
  | "hole"
  | "gap"
  | "content"
  | "ready"
  | "over"
  | "end"
  | "closing"
  | "acknowledged"
  | "refused"
  | "repeat"
  | "ids"
  | "retention"
  | "sink"
  | "progress"
  | "deadline"
  | "quota"
  | "counters"
  | "fault"
  | "leak"
  | "crash";

/** Keeps the first thing that was found wrong: to throw would be to be caught by the very code that is tested. */
export class Verdict {
  violation: Violation | null = null;

  wrong(check: Check, message: string): void {
    this.violation ??= { check, message };
  }

  /** @returns whether it is so */
  holds(condition: boolean, check: Check, message: () => string): boolean {
    if (!condition) this.wrong(check, message());
    return condition;
  }
}
