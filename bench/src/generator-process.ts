import type { Subprocess } from "bun";
import { fileURLToPath } from "node:url";
import type { Call, CallMessage, Calls, TickMessage, WorkerMessage } from "./messages.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

const NOTHING: TickMessage = { kind: "tick", open: 0, received: 0, events: 0, bytes: 0 };

/** A process of the generator, seen from the parent. */
export class GeneratorProcess implements AsyncDisposable {
  readonly #process: Subprocess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;
  /** What it said last. */
  tick: TickMessage = NOTHING;

  constructor() {
    this.#process = Bun.spawn([process.execPath, WORKER], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      serialization: "advanced",
      ipc: (message: WorkerMessage) => this.#received(message),
      onExit: (_process, code) => this.#exited(code),
    });
  }

  /** @throws Error when the call fails there, or the process ends */
  call<Name extends Call>(call: Name, order: Parameters<Calls[Name]>[0]): Promise<ReturnType<Calls[Name]>> {
    const number = this.#calls++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(number, waiting);
    const message: CallMessage = { call, number, order };
    this.#process.send(message);
    return waiting.promise as Promise<ReturnType<Calls[Name]>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  #received(message: WorkerMessage): void {
    if (message.kind === "tick") {
      this.tick = message;
      return;
    }
    const waiting = this.#waiting.get(message.number);
    this.#waiting.delete(message.number);
    if (message.kind === "answer") waiting?.resolve(message.answer);
    else waiting?.reject(new Error(message.message));
  }

  #exited(code: number | null): void {
    for (const { reject } of this.#waiting.values()) {
      reject(new Error(`a generator process ended with ${code ?? "a signal"}`));
    }
    this.#waiting.clear();
  }
}
