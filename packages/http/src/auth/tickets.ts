import { randomBytes } from "node:crypto";
import { Refusal } from "../answers/problem.ts";
import { type Access, sizeOf, unauthorized } from "./access.ts";
import { digestKey } from "./digest.ts";

/** How long tickets are good for, and how many there can be. */
export interface TicketOptions {
  /** How long a ticket is good for, in milliseconds; default 30,000. */
  ttl?: number | undefined;
  /** The most tickets that wait to be used; default 50,000. */
  maxTickets?: number | undefined;
  /** The most of them for one principal, so that nobody can take them all; default 10,000. */
  maxTicketsPerPrincipal?: number | undefined;
  /** Milliseconds since 1970; default `Date.now`. */
  now?: (() => number) | undefined;
}

/** The defaults of {@link TicketOptions}. */
export const TICKET_DEFAULTS = Object.freeze({
  ttl: 30_000,
  maxTickets: 50_000,
  maxTicketsPerPrincipal: 10_000,
}) satisfies TicketOptions;

const TICKET_BYTES = 32;
/** What a ticket takes besides what it allows, in bytes of memory. */
const OVERHEAD = 512;
/** What so many tickets may take in all: enough for what most tokens allow, and at the least for some that allow the most. */
const BYTES_PER_TICKET = 1400;
const MIN_BYTES = 4 * 1024 * 1024;

interface Ticket {
  readonly access: Access;
  readonly expires: number;
  readonly size: number;
}

/** Of the tickets that wait: all, or one principal's. */
class Held {
  tickets = 0;
  bytes = 0;

  add(tickets: number, bytes: number): void {
    this.tickets += tickets;
    this.bytes += bytes;
  }
}

/**
 * Tickets: what an EventSource, which cannot send headers, shows in its URL in place of a token. Each is good for one
 * stream, soon, with what its token may read. They live in this process's memory: another node, and the next life of
 * this one, know nothing of them.
 */
export class Tickets {
  readonly #ttl: number;
  readonly #maxTickets: number;
  readonly #maxPerPrincipal: number;
  readonly #now: () => number;
  /** By digest, the oldest first. */
  readonly #waiting = new Map<string, Ticket>();
  readonly #all = new Held();
  readonly #byPrincipal = new Map<string, Held>();

  constructor({
    ttl = TICKET_DEFAULTS.ttl,
    maxTickets = TICKET_DEFAULTS.maxTickets,
    maxTicketsPerPrincipal = TICKET_DEFAULTS.maxTicketsPerPrincipal,
    now = Date.now,
  }: TicketOptions = {}) {
    this.#ttl = ttl;
    this.#maxTickets = maxTickets;
    this.#maxPerPrincipal = maxTicketsPerPrincipal;
    this.#now = now;
  }

  /**
   * A ticket of 256 random bits.
   *
   * @returns `expires` in milliseconds since 1970: never later than the token
   * @throws Refusal 401 without a token, 429 while too many wait
   */
  issue(access: Access): { ticket: string; expires: number } {
    if (access.isAnonymous) throw unauthorized();
    this.#dropOld();
    const { principal } = access;
    const held = principal === null ? null : (this.#byPrincipal.get(principal) ?? new Held());
    const size = OVERHEAD + sizeOf(access.subscribe);
    requireRoom(this.#all, size, this.#maxTickets);
    if (held !== null) {
      requireRoom(held, size, this.#maxPerPrincipal);
      this.#byPrincipal.set(principal!, held);
      held.add(1, size);
    }
    this.#all.add(1, size);
    const ticket = randomBytes(TICKET_BYTES).toString("base64url");
    const expires = Math.min(this.#now() + this.#ttl, access.expires ?? Infinity);
    this.#waiting.set(digestKey(ticket), {
      access: { ...access, publish: null, admin: false },
      expires,
      size,
    });
    return { ticket, expires };
  }

  /** They expire in the order in which they were issued, or before. */
  #dropOld(): void {
    const now = this.#now();
    for (const [key, { expires }] of this.#waiting) {
      if (expires > now) return;
      this.#take(key);
    }
  }

  #take(key: string): Ticket | undefined {
    const found = this.#waiting.get(key);
    if (found === undefined) return undefined;
    this.#waiting.delete(key);
    this.#all.add(-1, -found.size);
    const { principal } = found.access;
    const held = principal === null ? undefined : this.#byPrincipal.get(principal);
    held?.add(-1, -found.size);
    if (held?.tickets === 0) this.#byPrincipal.delete(principal!);
    return found;
  }

  /**
   * What the ticket allows. It is gone with this, in one step: of two that bring it at once, one gets it.
   *
   * @throws Refusal 401 when it is unknown, used or late, which is not told apart
   */
  redeem(ticket: string): Access {
    const found = this.#take(digestKey(ticket));
    if (found !== undefined && this.#now() < found.expires) return found.access;
    throw unauthorized("the ticket is unknown, used or expired; get another one from POST /tickets");
  }
}

/** @throws Refusal 429 */
function requireRoom({ tickets, bytes }: Held, size: number, maxTickets: number): void {
  const maxBytes = Math.max(MIN_BYTES, maxTickets * BYTES_PER_TICKET);
  if (tickets < maxTickets && bytes + size <= maxBytes) return;
  const detail = `${tickets} tickets wait to be used; ask again when some were, or have expired`;
  throw new Refusal(429, detail, {}, "tickets");
}
