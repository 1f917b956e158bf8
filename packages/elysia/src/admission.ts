import { type Hub, HubError } from "@sse/hub";
import type { Server } from "bun";
import type { Access } from "./auth/access.ts";
import { clientAddress, type ClientAddress } from "./client-address.ts";
import { Refusal, type RefusalReason } from "./problem.ts";
import { RateLimiter } from "./rate-limit.ts";

/** Why the process can take no new streams. */
export interface Overload {
  /** What there is too little of. */
  readonly reason: "descriptors" | "memory" | "lag";
  /** For the client and the log. */
  readonly detail: string;
}

/** Who is let in, and how often. */
export interface AdmissionOptions {
  /** Proxies whose `X-Forwarded-For` is believed, as addresses and networks; default none. */
  trustedProxies?: readonly string[] | undefined;
  /**
   * Told once, of the first peer that is none of them and sends the header: if it is a proxy, all its clients count as one.
   * Default: nobody is.
   */
  onDisregardedProxy?: ((peer: string) => void) | undefined;
  /** Events that one principal, or one address of those without a token, may publish in a second; default null: any number. */
  publishRate?: number | null | undefined;
  /** Asked for each new stream; default: there is always room. */
  overload?: (() => Overload | null) | undefined;
  /** Told of each request that is refused. Default: nobody is. */
  onRefused?: ((reason: RefusalReason) => void) | undefined;
  /** Told what a handler has thrown that is no refusal, and was answered with 500. Default: it is written to standard error. */
  onError?: ((error: unknown) => void) | undefined;
  /** Told how long each request to publish took that was not refused, in milliseconds. Default: nobody is. */
  onPublished?: ((duration: number) => void) | undefined;
}

type At = Server<unknown> | null;

/** Who gets in: what a request passes besides its {@link Access}, before the hub is asked. */
export class Admission {
  /** Whose streams and events these are. */
  readonly hub: Hub;
  /** See {@link AdmissionOptions}. */
  readonly onRefused: (reason: RefusalReason) => void;
  /** See {@link AdmissionOptions}. */
  readonly onError: (error: unknown) => void;
  /** See {@link AdmissionOptions}. */
  readonly onPublished: (duration: number) => void;
  readonly #address: ClientAddress;
  readonly #rate: RateLimiter | null;
  /** Why no new streams are taken now; null: they are. */
  readonly overload: () => Overload | null;

  /** @throws TypeError for a trusted proxy that is no address */
  constructor(hub: Hub, options: AdmissionOptions = {}) {
    const {
      trustedProxies,
      onDisregardedProxy,
      publishRate = null,
      overload = () => null,
      onRefused = () => {},
    } = options;
    this.hub = hub;
    this.onError = options.onError ?? ((error) => console.error(error));
    this.onRefused = this.#guarded(onRefused);
    this.onPublished = this.#guarded(options.onPublished ?? (() => {}));
    this.#address = clientAddress(trustedProxies, onDisregardedProxy);
    this.#rate = publishRate === null ? null : new RateLimiter(publishRate);
    this.overload = overload;
  }

  /** What throws there harms no request. */
  #guarded<Told>(tell: (told: Told) => void): (told: Told) => void {
    return (told) => {
      try {
        tell(told);
      } catch (error) {
        this.onError(error);
      }
    };
  }

  /**
   * Asked before anything that costs, and before a ticket is used up. Streams that run are not concerned.
   *
   * @throws Refusal 503, or HubError `closed`, when no new streams are taken
   */
  requireRoom(): void {
    if (this.hub.closing) throw new HubError("closed", "the server is shutting down; connect again later");
    const overload = this.overload();
    if (overload === null) return;
    // Its connection takes a descriptor too.
    throw new Refusal(503, overload.detail, { connection: "close" }, overload.reason);
  }

  /** Whom a stream is counted for. */
  quotaKeys(
    request: Request,
    server: At,
    access: Access | undefined,
  ): { address?: string; principal?: string } {
    const address = this.#address(request, server);
    const principal = access?.principal ?? null;
    return { ...(address !== undefined && { address }), ...(principal !== null && { principal }) };
  }

  /** Whether anybody's events are counted: only then does {@link publisherOf} look at its server. */
  get countsEvents(): boolean {
    return this.#rate !== null;
  }

  /**
   * Whose events a request's are counted with. Asked once, while its connection is there: who has gone has no address.
   *
   * @throws Refusal 429 when none may be published now, before a body is read
   */
  publisherOf(request: Request, server: At, access: Access | undefined): string {
    if (this.#rate === null) return "";
    const publisher = access?.principal ?? `at ${this.#address(request, server) ?? "an unknown address"}`;
    this.#takeEvents(this.#rate, publisher, 0);
    return publisher;
  }

  /**
   * Counts so many events that are to be published at once, so that no two requests pass for the same. Then {@link refund}.
   *
   * @param publisher see {@link publisherOf}
   * @throws Refusal 429
   */
  charge(publisher: string, count: number): void {
    if (this.#rate !== null) this.#takeEvents(this.#rate, publisher, count);
  }

  /** Counts those no more of which nothing was published after all. */
  refund<Ids>(publisher: string, count: number, published: Promise<Ids>): Promise<Ids> {
    const rate = this.#rate;
    if (rate === null) return published;
    return published.catch((error: unknown) => {
      const mayBeKept = error instanceof HubError && error.code === "log-unanswered";
      if (!mayBeKept) rate.giveBack(publisher, count);
      throw error;
    });
  }

  #takeEvents(rate: RateLimiter, publisher: string, count: number): void {
    const wait = rate.take(publisher, count);
    if (wait === 0) return;
    const seconds = Math.ceil(wait / 1000);
    throw new Refusal(
      429,
      `you have published more than the rate of ${rate.perSecond} events a second allows, of which ${rate.perSecond} and one more may come at once after a rest; go on in ${seconds} s`,
      { "retry-after": String(seconds) },
      "publish-rate",
    );
  }
}
