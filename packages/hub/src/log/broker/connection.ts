import type { Clock } from "../../clock.ts";
import { HubError } from "../../errors.ts";
import { type Broker, type BrokerSession, EpochMismatch } from "./broker.ts";
import { Pauses, within } from "./timing.ts";

/** One session with a broker after another, until it is closed. */
export class BrokerConnection {
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #user: SessionUser;
  readonly #pauses: Pauses;
  /** Null while the broker is out of reach. */
  #session: BrokerSession | null;
  /** The session that was opened last: the one in use, or the one that is about to be. */
  #latest: BrokerSession;
  /** Settled when there is a session again. */
  #connected = Promise.withResolvers<void>();
  #reconnects = 0;
  #closed = false;
  #running = Promise.resolve();
  #isConnecting = false;

  constructor(broker: Broker, session: BrokerSession, clock: Clock, user: SessionUser) {
    this.#broker = broker;
    this.#clock = clock;
    this.#user = user;
    this.#pauses = new Pauses(clock);
    this.#session = session;
    this.#latest = session;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** The one that is in use; null while the broker is out of reach. */
  get session(): BrokerSession | null {
    return this.#session;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  /** False for a session that is over: an answer that it still gives means nothing. */
  isCurrent(session: BrokerSession): boolean {
    return session === this.#latest && !this.#closed;
  }

  /**
   * Asks the broker, when it is there.
   *
   * @param timeout how long to wait for it, in milliseconds
   * @throws HubError `log-failed` when it does not come, or fails several times although it is there; `closed`
   */
  async ask<T>(question: (session: BrokerSession) => Promise<T>, timeout: number): Promise<T> {
    const deadline = this.#clock.now() + timeout;
    for (let failures = 0; ;) {
      const session = await this.#available(deadline);
      try {
        return await within(this.#clock, ANSWERED_WITHIN, question(session));
      } catch (error) {
        if (error instanceof HubError) throw error;
        if (this.#session === session && ++failures === ATTEMPTS)
          throw new HubError("log-failed", `the log cannot be read (${words(error)})`, { cause: error });
        if (error instanceof EpochMismatch) session.close(); // what the log is now is found out anew
        await this.pause(FIRST_PAUSE);
      }
    }
  }

  async #available(deadline: number): Promise<BrokerSession> {
    while (!this.#closed) {
      if (this.#session !== null) return this.#session;
      const left = deadline - this.#clock.now();
      if (left <= 0) throw new HubError("log-failed", `${this.#broker.name} is out of reach`);
      await within(this.#clock, left, this.#connected.promise).catch(() => {});
    }
    throw new HubError("closed", "the log is closed");
  }

  /** Resolves after so many milliseconds, or when this is closed. */
  pause(milliseconds: number): Promise<void> {
    return this.#pauses.wait(milliseconds);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pauses.end();
    this.#latest.close();
    this.#connected.resolve();
    // A broker that hangs would hold up the end of the process: what comes of this attempt is closed when it comes.
    if (!this.#isConnecting) await this.#running;
  }

  async #run(): Promise<void> {
    let next: BrokerSession | null = this.#latest;
    for (let pause = FIRST_PAUSE; ;) {
      try {
        this.#latest = next ?? (await this.#connect());
        await this.#use(this.#latest);
      } catch (error) {
        if (this.#session !== null) {
          this.#connected = Promise.withResolvers();
          pause = FIRST_PAUSE;
        }
        this.#session = null;
        if (!this.#closed) this.#user.reached(`${this.#broker.name}: ${words(error)}`);
      }
      next = null;
      this.#latest.close();
      if (!this.#closed) await this.pause(pause);
      if (this.#closed) return;
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  async #connect(): Promise<BrokerSession> {
    this.#isConnecting = true;
    try {
      return await this.#broker.connect();
    } finally {
      this.#isConnecting = false;
    }
  }

  async #use(session: BrokerSession): Promise<void> {
    if (this.#closed) return;
    await this.#user.begin(session);
    if (this.#closed) return;
    if (this.#session === null) this.#reconnects++;
    this.#session = session;
    this.#user.reached(null);
    this.#connected.resolve();
    await this.#user.follow(session);
  }
}

/** What is done with each session. Whatever rejects ends it, and another one is opened. */
export interface SessionUser {
  /** Before anything else is asked on it. */
  begin(session: BrokerSession): Promise<void>;
  /** For as long as it lasts. */
  follow(session: BrokerSession): Promise<void>;
  /** Told when a session is lost, why, and with null when there is one again. */
  reached(fault: string | null): void;
}

/** What an error says. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** How long a question may take before it is asked again, in milliseconds: as much as a scan of a large log. */
const ANSWERED_WITHIN = 30_000;
/** From one attempt to connect to the next: at first, and at most. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1000;
/** How often a question is asked that fails although the broker is there. */
const ATTEMPTS = 3;
