import type { Clock } from "../../clock.ts";

/** Why a broker's log keeps no events. Tells when that begins and when it is over, not of each reason in between. */
export class BrokerFault {
  readonly #clock: Clock;
  readonly #checkEvery: number;
  readonly #onFault: (fault: string | null) => void;
  #unreachable: string | null = null;
  #refusal: string | null = null;
  /** When it refused an append. */
  #refusedAt = -Infinity;
  #isTold = false;

  constructor(clock: Clock, checkEvery: number, onFault: (fault: string | null) => void) {
    this.#clock = clock;
    this.#checkEvery = checkEvery;
    this.#onFault = onFault;
  }

  get reason(): string | null {
    return this.#unreachable ?? this.#refusal;
  }

  /** Whether the broker answers. @param reason null: it does */
  reach(reason: string | null): void {
    this.#unreachable = reason;
    this.#tell();
  }

  /** It answers, and has refused an append. */
  refuse(reason: string): void {
    this.#refusedAt = this.#clock.now();
    this.#refusal = reason;
    this.#tell();
  }

  /** What it says when it is asked whether it takes events. @param refusal null: it does, or cannot tell */
  check(refusal: string | null): void {
    const isRecent = this.#clock.now() - this.#refusedAt <= REFUSAL_CHECKS * this.#checkEvery;
    if (refusal === null && isRecent) return;
    this.#refusal = refusal;
    this.#tell();
  }

  #tell(): void {
    const { reason } = this;
    if ((reason !== null) === this.#isTold) return;
    this.#isTold = reason !== null;
    this.#onFault(reason);
  }
}

/**
 * For how many checks a broker is taken to refuse what it has refused: near its limits it takes some events and not others,
 * and that is not to be told each time.
 */
const REFUSAL_CHECKS = 5;
