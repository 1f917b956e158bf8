const WIDTH = 24;

/** What is going on, on one line of a terminal; silent where stderr is none. */
export class Progress {
  readonly #enabled: boolean;
  #steps = 0;
  #done = 0;
  #text = "";

  constructor(enabled: boolean = process.stderr.isTTY) {
    this.#enabled = enabled;
  }

  /** How many steps there will be. */
  expect(steps: number): void {
    this.#steps = steps;
    this.#done = 0;
  }

  step(): void {
    this.#done++;
    this.show(this.#text);
  }

  /** @param share of the whole that is done; default: of the steps */
  show(text: string, share: number = this.#steps === 0 ? 0 : this.#done / this.#steps): void {
    this.#text = text;
    if (!this.#enabled) return;
    const full = Math.round(Math.min(1, share) * WIDTH);
    process.stderr.write(`\r\x1b[2K[${"#".repeat(full)}${".".repeat(WIDTH - full)}] ${text}`);
  }

  clear(): void {
    if (this.#enabled) process.stderr.write("\r\x1b[2K");
  }
}
