import { HubError, type Message } from "../../src/index.ts";
import { type Accepted, type Chronicle, type Epoch, nameOf } from "./chronicle.ts";
import type { Verdict } from "./verdict.ts";

/** Text; or a JSON value with a text in it. */
export type Data = string | readonly [text: string];

/** What a client decodes of it. */
function decoded(data: Data): string {
  return typeof data === "string" ? data.replace(/\r\n|\r/g, "\n") : JSON.stringify(data);
}

/** The number that {@link Registry.data} gave it. */
function numberOf(text: string): number {
  return Number(/[0-9]+/.exec(text)?.[0]);
}

/** What a publisher sends together. */
export interface Publication {
  readonly name: string;
  readonly messages: readonly (Message<Data> & { topic: string })[];
  /** How often it was sent; how many of these have no answer. */
  sent: number;
  attempts: number;
  isAnswered: boolean;
  /** The publisher was told that nothing of it was published. */
  isRefused: boolean;
}

/** One time that a publication was sent. */
interface Attempt {
  readonly publication: Publication;
  readonly node: Publishing;
  /** Which of the node's attempts. */
  readonly index: number;
  /** What the store held then. */
  readonly epoch: Epoch;
  readonly first: number;
  readonly order: number;
  readonly losses: number;
}

/** A node, as its publishers know it. */
export interface Publishing {
  readonly name: string;
  /** Attempts so far. */
  attempts: number;
  /** What was acknowledged of each attempt, where all of it was new. */
  readonly acknowledged: { index: number; losses: number; epoch: Epoch; first: number; last: number }[];
}

/** An event on its way into a store. */
export interface Taken {
  readonly seq: number;
  readonly topic: string;
  readonly key: string;
  readonly idempotencyKey: string;
  readonly end: boolean;
  /** Its data, at least up to the blank after the number that {@link Registry.data} gave it. */
  readonly text: string;
  readonly size: number;
  readonly time: number;
}

/** What publishers have sent and been told, held against what the store has taken. */
export class Registry {
  readonly #chronicle: Chronicle;
  readonly #verdict: Verdict;
  readonly #data: string[] = [];
  /** By the number in its data. */
  readonly #messages: { publication: Publication; message: Publication["messages"][number] }[] = [];
  /** By topic and publisher's id: the newest event. */
  #known = new Map<string, Accepted>();
  #publications = 0;
  /** How often the store has lost events. */
  losses = 0;
  /** Whether acknowledged events of one node come in the order of its publishes. */
  isOrdered = true;

  constructor(chronicle: Chronicle, verdict: Verdict) {
    this.#chronicle = chronicle;
    this.#verdict = verdict;
  }

  /** Data that no other message has. */
  data(filler: string): string {
    const data = `${this.#data.length} ${filler}`;
    this.#data.push(data);
    return data;
  }

  publication(messages: Publication["messages"]): Publication {
    const name = `#${this.#publications++}`;
    const publication = { name, messages, sent: 0, attempts: 0, isAnswered: false, isRefused: false };
    for (const message of messages)
      if (message.data !== undefined)
        this.#messages[numberOf(decoded(message.data))] = { publication, message };
    return publication;
  }

  attempt(publication: Publication, node: Publishing): Attempt {
    publication.sent++;
    publication.attempts++;
    publication.isRefused = false;
    const { current, accepted, first: kept, firstDue } = this.#chronicle;
    const { losses } = this;
    const first = Math.max(kept, firstDue);
    return { publication, node, index: node.attempts++, epoch: current!, first, order: accepted, losses };
  }

  /** The store takes an event; what it evicts for it is evicted after this. */
  taken({ text, ...event }: Taken): void {
    const verdict = this.#verdict;
    const chronicle = this.#chronicle;
    const { topic, key, idempotencyKey, end, seq } = event;
    const sent = end ? undefined : this.#messages[numberOf(text)];
    if (!end && sent === undefined)
      verdict.wrong("content", `an event that nobody published: ${text.slice(0, 30)}`);
    if (sent !== undefined) {
      const { message, publication } = sent;
      if (message.topic !== topic || (message.key ?? "") !== key || (message.id ?? "") !== idempotencyKey)
        verdict.wrong("content", `${publication.name} is kept as ${JSON.stringify(event)}`);
      if (publication.isRefused)
        verdict.wrong("refused", `${publication.name} was refused, and is kept as ${seq}`);
    }
    const name = `${topic}\0${idempotencyKey}`;
    if (idempotencyKey !== "") {
      const before = this.#known.get(name);
      if (
        before !== undefined &&
        chronicle.isKept(before) &&
        before.seq >= chronicle.firstDue &&
        !this.#endsAnew(before)
      )
        verdict.wrong("repeat", `${nameOf(before)} is published again as ${seq}`);
    }
    const data = end ? JSON.stringify({ topic }) : decoded(sent!.message.data!);
    const json = typeof sent?.message.data === "object";
    const type = end ? "sse:end" : (sent!.message.event ?? "message");
    chronicle.accept({ ...event, type, data, json });
    const accepted = chronicle.current!.own.at(-1)!;
    if (idempotencyKey !== "") this.#known.set(name, accepted);
  }

  /** A message whose event was evicted comes anew with its end, though that is still there. */
  #endsAnew({ topic, idempotencyKey, end, seq }: Accepted): boolean {
    if (!end || !idempotencyKey.endsWith("\0end")) return false;
    const message = this.#known.get(`${topic}\0${idempotencyKey.slice(0, -4)}`);
    return message !== undefined && message.seq > seq;
  }

  /** The store has lost events: their ids can be used again. */
  lost(): void {
    this.losses++;
    const { current } = this.#chronicle;
    for (const [name, event] of this.#known) {
      if (current!.goesOnWith(event.epoch, event.seq) && current!.find(event.seq) === event) continue;
      this.#known.delete(name);
    }
    // An earlier event of the same id, which was evicted, is as good as none.
  }

  acknowledged(attempt: Attempt, ids: readonly string[]): void {
    const { publication, losses } = attempt;
    const { messages, name } = publication;
    publication.attempts--;
    publication.isAnswered = true;
    const verdict = this.#verdict;
    if (ids.length !== messages.length)
      verdict.wrong("acknowledged", `${name}: ${ids.length} ids for ${messages.length} messages`);
    if (losses !== this.losses) return; // it was acknowledged, and lost since
    const events: Accepted[] = [];
    for (const [at, id] of ids.entries()) {
      const event = this.#acknowledgedAs(attempt, messages[at]!, id);
      if (event === undefined) return;
      events.push(event);
    }
    const isNew = publication.sent === 1 && events.every(({ order }) => order >= attempt.order);
    if (isNew && new Set(events).size === events.length) this.#inOrder(attempt, events);
  }

  #acknowledgedAs(
    { publication: { name }, first, epoch, order }: Attempt,
    message: Publication["messages"][number],
    id: string,
  ): Accepted | undefined {
    const verdict = this.#verdict;
    const place = this.#chronicle.placeOf(id);
    const event = place === null ? undefined : this.#chronicle.eventAt(place);
    if (event === undefined) {
      verdict.wrong("acknowledged", `${name} is acknowledged as ${id}, which is not in the log`);
      return undefined;
    }
    const data = message.data === undefined ? undefined : decoded(message.data);
    const isIt =
      event.topic === message.topic &&
      (message.id !== undefined
        ? event.idempotencyKey.replace("\0end", "") === message.id
        : data === undefined
          ? event.end
          : event.data === data);
    if (!isIt) verdict.wrong("acknowledged", `${name} is acknowledged as ${nameOf(event)}`);
    const wasGone = epoch.goesOnWith(event.epoch, event.seq) && event.seq < first;
    if (event.order < order && wasGone)
      verdict.wrong("repeat", `${name} is acknowledged as ${nameOf(event)}, which was evicted`);
    return event;
  }

  /** One after the other, with nothing between; and after all that was published on the node before. */
  #inOrder({ node, index, losses, publication }: Attempt, events: readonly Accepted[]): void {
    const { epoch, seq: first } = events[0]!;
    const { seq: last, epoch: lastEpoch } = events.at(-1)!;
    if (lastEpoch !== epoch) return;
    const between = [...epoch.between(first - 1, last)];
    const wanted = publication.messages.reduce(
      (sum, { data, end }) => sum + (data === undefined ? 0 : 1) + (end === true ? 1 : 0),
      publication.messages.at(-1)!.data !== undefined && publication.messages.at(-1)!.end === true ? -1 : 0,
    );
    if (between.length !== wanted || events.some((event, at) => at > 0 && event.seq <= events[at - 1]!.seq))
      this.#verdict.wrong(
        "order",
        `${publication.name} is in the log from ${first} to ${last}, with others between`,
      );
    if (!this.isOrdered) return;
    for (const other of node.acknowledged) {
      if (other.losses !== losses || other.epoch !== epoch) continue;
      if (other.index < index ? other.last < first : last < other.first) continue;
      this.#verdict.wrong(
        "order",
        `of two publishes on ${node.name} the ${other.index < index ? "later" : "earlier"} came as ${first}, the other as ${other.first}`,
      );
    }
    node.acknowledged.push({ index, losses, epoch, first, last });
  }

  refused({ publication }: Attempt, error: unknown): void {
    publication.attempts--;
    if (!(error instanceof HubError)) {
      this.#verdict.wrong("refused", `${publication.name} is refused with ${String(error)}`);
      return;
    }
    if (/may (have been|be there)/.test(error.message) || publication.sent > 1) return;
    publication.isRefused = true;
    const parts = new Set(publication.messages.map(({ data }) => data && decoded(data)));
    const { current } = this.#chronicle;
    const kept = current!.own.find(({ data, end }) => !end && parts.has(data));
    if (kept !== undefined)
      this.#verdict.wrong(
        "refused",
        `${publication.name} is refused (${error.message}), and is kept as ${nameOf(kept)}`,
      );
  }
}
