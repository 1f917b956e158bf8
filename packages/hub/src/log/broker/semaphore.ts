import { type Clock, systemClock } from "../../clock.ts";

/** Lets in so much at a time; the rest waits in a queue, which is bounded as well. First in, first out. */
export class Semaphore {
  readonly #capacity: number;
  readonly #longestQueue: number;
  readonly #clock: Clock;
  readonly #queue: Place[] = [];
  #inside = 0;
  #queued = 0;

  /**
   * @param capacity what may be inside at once; something heavier goes in alone
   * @param longestQueue what may wait; default: any amount
   */
  constructor(capacity: number, longestQueue: number = Infinity, clock: Clock = systemClock) {
    this.#capacity = capacity;
    this.#longestQueue = longestQueue;
    this.#clock = clock;
  }

  /**
   * Does something inside. Work begins in the order of the calls.
   *
   * @param timeout how long it waits to be let in, in milliseconds; default: for ever
   * @throws SemaphoreTimeout when it was not let in, and nothing was done
   */
  pass<T>(weight: number, work: () => Promise<T>, timeout?: number): Promise<T> {
    if (this.#queue.length === 0 && this.#fits(weight)) return this.#run(weight, work);
    if (this.#queued + weight > this.#longestQueue)
      return Promise.reject(new SemaphoreTimeout("the queue is full"));
    return new Promise((resolve, reject) => {
      const leave =
        timeout === undefined
          ? () => {}
          : this.#clock.after(timeout, () => {
              this.#queue.splice(this.#queue.indexOf(place), 1);
              this.#queued -= weight;
              reject(new SemaphoreTimeout(`it was not let in within ${timeout} ms`));
              this.#letIn();
            });
      // The work begins in here, not a turn later: who comes in between would overtake it.
      const enter = (): void => {
        leave();
        resolve(this.#run(weight, work));
      };
      const place = { weight, enter };
      this.#queue.push(place);
      this.#queued += weight;
    });
  }

  #fits(weight: number): boolean {
    return this.#inside === 0 || this.#inside + weight <= this.#capacity;
  }

  async #run<T>(weight: number, work: () => Promise<T>): Promise<T> {
    this.#inside += weight;
    try {
      return await work();
    } finally {
      this.#inside -= weight;
      this.#letIn();
    }
  }

  #letIn(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#fits(next.weight); next = this.#queue[0]) {
      this.#queue.shift();
      this.#queued -= next.weight;
      next.enter();
    }
  }
}

export class SemaphoreTimeout extends Error {
  override readonly name = "SemaphoreTimeout";
}

interface Place {
  readonly weight: number;
  readonly enter: () => void;
}
