import type { ServerSentEvent } from "@sse/protocol";
import type { CloseReason } from "../../src/index.ts";
import { type Accepted, type Chronicle, type Epoch, firstSelected, nameOf, type Place } from "./chronicle.ts";
import { type Asked, beginsWell, type Ready } from "./beginning.ts";
import { evictedFault } from "./eviction.ts";
import type { Selection } from "./selection.ts";
import type { Check, Verdict } from "./verdict.ts";

interface Gap {
  readonly reason: string;
  readonly from: string | null;
  readonly to: string;
}

/**
 * The account of one client: which events it has been given or told of, by what its decoder dispatched. Every selected event must
 * come in the order of the log, once, unless a gap that covers it was told before anything newer.
 */
export class Ledger {
  readonly who: string;
  readonly selection: Selection;
  readonly #chronicle: Chronicle;
  readonly #verdict: Verdict;
  /** Data comes in envelopes. */
  readonly #isEnveloped: boolean;
  /** All that is selected up to here was given or told; null: it has not begun. What the client's last id stands for. */
  position: Place | null = null;
  /** Of this connection. */
  asked: Asked | null = null;
  isReady = false;
  #expected: Gap | null = null;
  #isClosing = false;
  /** Topics of whose end it was told in this connection, with the event that ended each. */
  readonly told = new Map<string, Accepted>();

  constructor(
    who: string,
    selection: Selection,
    chronicle: Chronicle,
    verdict: Verdict,
    isEnveloped = false,
  ) {
    this.who = who;
    this.selection = selection;
    this.#chronicle = chronicle;
    this.#verdict = verdict;
    this.#isEnveloped = isEnveloped;
  }

  /** The client connects, and goes on from the id that it sends. @param isOwn the one that it has come to by itself */
  connect(asked: Asked, isOwn: boolean): void {
    this.asked = asked;
    const own = isOwn && asked.lastEventId !== "" ? this.#chronicle.placeOf(asked.lastEventId) : null;
    if (own !== null && this.position !== null)
      this.#advance(own, false, `the client's ${asked.lastEventId}`);
    this.position = asked.lastEventId === "" ? null : this.#chronicle.placeOf(asked.lastEventId);
    this.isReady = false;
    this.#expected = null;
    this.#isClosing = false;
    this.told.clear();
  }

  #wrong(check: Check, message: string): void {
    this.#verdict.wrong(check, `${this.who}: ${message}`);
  }

  /** An event that the client's decoder has dispatched. */
  see({ type, data, lastEventId: id }: ServerSentEvent): void {
    if (this.#isClosing) this.#wrong("closing", `${type} (${id}) after sse:closing`);
    if (this.#expected !== null && type !== "sse:gap") {
      this.#wrong("gap", `a reset to ${this.#expected.to} is followed by ${type}, not by its gap`);
      this.#expected = null;
    }
    if (type === "sse:closing") this.#closing(id);
    else if (type === "sse:ready") this.#ready(JSON.parse(data) as Ready, id);
    else if (!this.isReady) this.#wrong("ready", `${type} (${id}) before sse:ready`);
    else if (type === "sse:gap") this.#gap(JSON.parse(data) as Gap, id);
    else if (type === "sse:end") this.#end((JSON.parse(data) as { topic: string }).topic, id);
    else this.#event(type, data, id);
  }

  #ready(ready: Ready, id: string): void {
    if (this.isReady) this.#wrong("ready", "sse:ready twice");
    this.isReady = true;
    const to = this.#chronicle.placeOf(id);
    if (to === null) {
      this.#wrong("ready", `sse:ready has ${id}, which no log has given`);
      return;
    }
    const asked = this.asked!;
    beginsWell(asked, this.position, ready, to, this.selection, this.#chronicle, (check, message) =>
      this.#wrong(check, message),
    );
    this.position = to;
    if (ready.resume !== "reset") return;
    this.#expected = {
      reason: ready.reason!,
      from: ready.reason === "unknown-id" ? null : asked.lastEventId,
      to: id,
    };
  }

  /** Nothing that is selected may stand between where the client is and this. @param isEvent one that stands there itself */
  #advance(to: Place, isEvent: boolean, what: string): void {
    const from = this.position!;
    const epoch = from.epoch.goesOnWith(to.epoch, to.seq)
      ? from.epoch
      : to.epoch.goesOnWith(from.epoch, from.seq)
        ? to.epoch
        : null;
    if (epoch === null) {
      this.#wrong("hole", `${what} comes after ${from.epoch.id(from.seq)}, of another epoch, without a gap`);
      return;
    }
    if (to.seq < from.seq || (isEvent && to.seq === from.seq))
      this.#wrong("order", `${what} comes after ${from.epoch.id(from.seq)}`);
    const missing = firstSelected(epoch, from.seq, isEvent ? to.seq - 1 : to.seq, this.selection);
    if (missing !== undefined && epoch.isCertain(missing.seq))
      this.#wrong("hole", `${nameOf(missing)} is missing before ${what}, and no gap was told`);
    this.position = { epoch, seq: to.seq };
  }

  #event(type: string, data: string, id: string): void {
    const place = this.#chronicle.placeOf(id);
    const event = place === null ? undefined : this.#eventAt(place, data);
    if (event === undefined) {
      this.#wrong("content", `${id} (${data.slice(0, 20)}) was never published`);
      return;
    }
    if (event.type !== type || this.#shown(event) !== data) {
      this.#wrong("content", `${nameOf(event)} came as ${type}: ${JSON.stringify(data)}`);
    }
    if (!this.selection.has(event.topic)) this.#wrong("content", `${nameOf(event)} was not asked for`);
    this.#advance(place!, true, nameOf(event));
  }

  /** Where the store has lost events, the number can stand for two. */
  #eventAt(place: Place, data: string): Accepted | undefined {
    const event = this.#chronicle.eventAt(place);
    if (event !== undefined && this.#shown(event) === data) return event;
    return place.epoch.lost.find((each) => each.seq === place.seq && this.#shown(each) === data) ?? event;
  }

  /** What its client decodes of an event. */
  #shown({ topic, key, data, json, end }: Accepted): string {
    if (!this.#isEnveloped || end) return data;
    return JSON.stringify({
      topic,
      ...(key !== "" && { key }),
      data: json ? (JSON.parse(data) as unknown) : data,
    });
  }

  #end(topic: string, id: string): void {
    const place = this.#chronicle.placeOf(id);
    if (place === null) {
      this.#wrong("content", `sse:end has ${id}, which no log has given`);
      return;
    }
    const event = this.#eventAt(place, JSON.stringify({ topic }));
    // Its own event; or said of an event that came before.
    const isOwn = event?.end === true && event.topic === topic && place.seq > this.position!.seq;
    this.#advance(place, isOwn, `sse:end of ${topic} (${id})`);
    if (isOwn && !this.selection.has(topic)) this.#wrong("content", `${id} was not asked for`);
    const { epoch, seq } = this.position!;
    if (!epoch.isWhole(seq)) return;
    const last = isOwn ? event : epoch.lastOf(topic, seq);
    if (last?.end !== true) this.#wrong("end", `${topic} has not ended by ${id}`);
    else if (this.told.get(topic) === last) this.#wrong("end", `the end of ${topic} is told twice`);
    else this.told.set(topic, last);
  }

  #gap({ reason, from, to }: Gap, id: string): void {
    const expected = this.#expected;
    this.#expected = null;
    const target = this.#chronicle.placeOf(to);
    if (id !== to || target === null) {
      this.#wrong("gap", `a gap to ${to} has the id ${id}`);
      return;
    }
    if (expected !== null) {
      if (expected.reason !== reason || expected.from !== from || expected.to !== to)
        this.#wrong(
          "gap",
          `expected ${JSON.stringify(expected)}, not ${JSON.stringify({ reason, from, to })}`,
        );
      return;
    }
    const start = from === null ? null : this.#chronicle.placeOf(from);
    if (start === null) {
      this.#wrong("gap", `a gap from ${from}, which no log has given`);
      return;
    }
    this.#advance(start, false, `a gap from ${from}`);
    const wrong = this.#gapFault(reason, start, target);
    if (reason === "epoch") this.told.clear(); // what it was told of the epoch before means nothing now
    if (wrong !== null) this.#wrong("gap", `${reason} from ${from} to ${to}: ${wrong}`);
    this.position = target;
  }

  /** Why this gap should not have been told. */
  #gapFault(reason: string, from: Place, to: Place): string | null {
    const chronicle = this.#chronicle;
    if (reason === "epoch") {
      if (!chronicle.isShared && to.epoch.goesOnWith(from.epoch, from.seq))
        return "nothing of the epoch was lost";
      if (chronicle.isShared && to.seq < to.epoch.inherited)
        return "what the epoch has inherited comes again";
      const kept = chronicle.firstKept(to.epoch, to.epoch.inherited, to.seq, this.selection);
      return kept === undefined ? null : `${nameOf(kept)} is still there`;
    }
    if (to.epoch !== from.epoch && !to.epoch.goesOnWith(from.epoch, from.seq))
      return "it leads to another epoch";
    if (to.seq <= from.seq) return "it is empty";
    if (reason === "evicted") return evictedFault(chronicle, to.epoch, from.seq, to.seq, this.selection);
    if (reason !== "lag") return "no such reason";
    if (!to.epoch.isWhole(Infinity)) return null;
    if (this.asked!.lag !== "latest") return "the client wants everything";
    let left = 0;
    for (const event of to.epoch.between(from.seq, to.seq)) {
      if (!this.selection.has(event.topic)) continue;
      left++;
      if (event.end || !isSuperseded(event, to.epoch)) return `nothing newer stands for ${nameOf(event)}`;
    }
    return left > 0 ? null : "there is nothing in it";
  }

  #closing(id: string): void {
    this.#isClosing = true;
    if (id === "" || id === this.asked!.lastEventId) return;
    const place = this.#chronicle.placeOf(id);
    if (place === null) this.#wrong("closing", `sse:closing has ${id}, which no log has given`);
    else if (this.position !== null) this.#advance(place, false, `sse:closing (${id})`);
    else this.position = place;
  }

  /** All that the server has written has come, and the connection ends. */
  end(reason: CloseReason | null): void {
    if (reason !== "ended") return;
    if (this.selection.hasPatterns) this.#wrong("end", "a stream with patterns was ended");
    const { epoch, seq } = this.position!;
    const untold = this.selection.topics.find((topic) => !this.told.has(topic));
    if (untold === undefined || !epoch.isWhole(Infinity)) return;
    // A node can be told that a topic goes on, by an event that has yet to come, and hear from elsewhere of the end before that.
    if (this.#chronicle.isShared && epoch.lastOf(untold, Infinity)!.seq > seq) return;
    this.#wrong("end", `it was ended, and not told of the end of ${untold}`);
  }

  /** The first event that it should have by now, of those that the node has up to `last`. */
  owed(epoch: Epoch, last: number): Accepted | undefined {
    const { position } = this;
    if (position === null || !epoch.goesOnWith(position.epoch, position.seq)) return undefined;
    return firstSelected(epoch, position.seq, last, this.selection);
  }

  /** Whether it has had all that there is of topics that have all ended, by what the log of its node showed. */
  isOver(shown: Epoch, last: number): boolean {
    const { position, selection } = this;
    if (position === null || selection.hasPatterns || position.seq > shown.last) return false;
    if (!shown.goesOnWith(position.epoch, position.seq)) return false;
    return selection.topics.every((topic) => {
      const newest = shown.lastOf(topic, Math.max(last, position.seq));
      return newest?.end === true && newest.seq <= position.seq;
    });
  }
}

function isSuperseded({ seq, topic, key }: Accepted, epoch: Epoch): boolean {
  for (const event of epoch.between(seq, Infinity))
    if (!event.end && event.topic === topic && event.key === key) return true;
  return false;
}
