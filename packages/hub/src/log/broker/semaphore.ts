/** Lets in so much at a time; the rest waits in a line, which is bounded as well. */
export class Semaphore {
  readonly #capacity: number;
  readonly #longestLine: number;
  #inside = 0;
  #waiting = 0;
  readonly #line: { readonly weight: number; readonly enter: () => void }[] = [];

  /**
   * @param capacity what may be inside at once; something heavier goes in alone
   * @param longestLine what may wait; default: any amount
   */
  constructor(capacity: number, longestLine: number = Infinity) {
    this.#capacity = capacity;
    this.#longestLine = longestLine;
  }

  /**
   * Does something inside.
   *
   * @param patience how long it waits to be let in, in milliseconds; default: for ever
   * @throws SemaphoreTimeout when it was not let in, and nothing was done
   */
  async pass<T>(weight: number, work: () => Promise<T>, patience?: number): Promise<T> {
    if (this.#line.length > 0 || !this.#fits(weight)) await this.#queue(weight, patience);
    else this.#inside += weight;
    try {
      return await work();
    } finally {
      this.#inside -= weight;
      this.#letIn();
    }
  }

  #fits(weight: number): boolean {
    return this.#inside === 0 || this.#inside + weight <= this.#capacity;
  }

  async #queue(weight: number, patience?: number): Promise<void> {
    if (this.#waiting + weight > this.#longestLine) throw new SemaphoreTimeout("the line is too long");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const place = { weight, enter: resolve };
    this.#line.push(place);
    this.#waiting += weight;
    const timer =
      patience === undefined
        ? undefined
        : setTimeout(() => {
            this.#line.splice(this.#line.indexOf(place), 1);
            this.#waiting -= weight;
            reject(new SemaphoreTimeout("it took too long"));
            this.#letIn();
          }, patience);
    await promise.finally(() => clearTimeout(timer));
  }

  #letIn(): void {
    for (let next = this.#line[0]; next !== undefined && this.#fits(next.weight); next = this.#line[0]) {
      this.#line.shift();
      this.#waiting -= next.weight;
      this.#inside += next.weight;
      next.enter();
    }
  }
}

export class SemaphoreTimeout extends Error {
  override readonly name = "SemaphoreTimeout";
}
