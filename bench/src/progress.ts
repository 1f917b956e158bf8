const WIDTH = 24;

/** What is going on, on one line of a terminal; silent where stderr is none. */
export class Progress {
  readonly #enabled: boolean;
  #steps = 0;
  #done = 0;
  #text = "";
  #started = 0;

  constructor(enabled: boolean = process.stderr.isTTY) {
    this.#enabled = enabled;
  }

  /** How many steps there will be. */
  expect(steps: number): void {
    this.#steps = steps;
    this.#done = 0;
    this.#started = performance.now();
  }

  step(): void {
    this.#done++;
    this.show(this.#text);
  }

  /** How long the steps that are left will take, if they are like those that were. */
  get #left(): string {
    if (this.#done === 0 || this.#done === this.#steps) return "";
    const each = (performance.now() - this.#started) / this.#done;
    return ` (${this.#done} of ${this.#steps}, ${Math.ceil((each * (this.#steps - this.#done)) / 1000)} s to go)`;
  }

  /** @param share of the whole that is done; default: of the steps */
  show(text: string, share: number = this.#steps === 0 ? 0 : this.#done / this.#steps): void {
    this.#text = text;
    if (!this.#enabled) return;
    const full = Math.round(Math.min(1, share) * WIDTH);
    process.stderr.write(`\r\x1b[2K[${"#".repeat(full)}${".".repeat(WIDTH - full)}] ${text}${this.#left}`);
  }

  clear(): void {
    if (this.#enabled) process.stderr.write("\r\x1b[2K");
  }
}
