import type { StreamInfo } from "@nats-io/jetstream";
import type { Cursor } from "../event-id.ts";
import { endId, type NewEvent } from "../new-event.ts";
import { parseTopic, type Topic } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import { idempotencyName } from "../numbering.ts";
import type { NatsClient } from "./client.ts";
import { isSubjectOf } from "./subjects.ts";

/** A message as it stands in the stream. */
export interface Message {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}

/** What a message holds: events that were published together. */
export function payloadOf(events: readonly NewEvent[]): Uint8Array {
  const rows = events.map(({ topic, key, idempotencyKey, type, data, end, json }): Row => {
    const row = [topic, key, idempotencyKey, type, data, end ? 1 : 0] as const;
    return json ? [...row, 1] : row;
  });
  return Buffer.from(JSON.stringify(rows));
}

/**
 * The events in a message. There are none in one that is not ours: whoever may publish to the server can put one into the stream.
 * It is told once, and its numbers are left out.
 *
 * @param mark when the server took the message, in nanoseconds since 1970
 */
export function recordsOf({ prefix, warn }: NatsClient, message: Message, mark: string): BrokerRecord[] {
  const events = eventsOf(message.data);
  if (!isSubjectOf(prefix, message.subject, events)) {
    warn(
      "foreign",
      `message ${message.seq} of the stream ${prefix}, at ${message.subject}, is no event of this log, and is skipped; keep others from publishing to ${prefix}.>`,
    );
    return [];
  }
  const time = Number(mark.slice(0, -6));
  const first = message.seq * SLOTS - events.length + 1;
  return events.map((event, at) => ({ seq: first + at, time, mark, event }));
}

/** The oldest number from which nothing is missing. */
export function firstOf({ first_seq: first, last_seq: last, messages }: StreamInfo["state"]): Cursor {
  return (messages > 0 ? first - 1 : last) * SLOTS + 1;
}

/**
 * The events that are to be published, and for each event of the batch its number, when the log has it, or the negative
 * place, from -1 on, in what is to be published.
 */
export function repetitions(
  batch: readonly NewEvent[],
  known: (topic: Topic, idempotencyKey: string) => Cursor | undefined,
): { fresh: NewEvent[]; answers: number[] } {
  const places = new Map<string, number>();
  const fresh: NewEvent[] = [];
  const answers: number[] = [];
  for (const event of batch) {
    const { topic, idempotencyKey, end } = event;
    if (idempotencyKey !== "") {
      const name = idempotencyName(topic, idempotencyKey);
      const answer = places.get(name) ?? known(topic, idempotencyKey);
      if (answer !== undefined && answer !== 0) {
        answers.push(answer);
        continue;
      }
      places.set(name, -fresh.length - 1);
      if (!end) places.set(idempotencyName(topic, endId(idempotencyKey)), 0); // a message that comes anew ends its topic anew
    }
    answers.push(-fresh.push(event));
  }
  return { fresh, answers };
}

function eventsOf(data: Uint8Array): NewEvent[] {
  try {
    const rows = JSON.parse(UTF_8.decode(data)) as Row[];
    return rows.length <= SLOTS ? rows.map(eventOf) : [];
  } catch {
    return [];
  }
}

/**
 * Through the door again: nothing else keeps from the wire what was not published by a hub. What is no JSON would forge the
 * fields around it in an envelope.
 */
function eventOf([topic, key, idempotencyKey, type, data, end, json]: Row): NewEvent {
  const isText = typeof key === "string" && typeof idempotencyKey === "string" && typeof data === "string";
  const isType = typeof type === "string" && !BREAKS.test(type) && !type.startsWith("sse:");
  if (!isText || !isType || (end !== 0 && end !== 1)) throw new TypeError("not an event");
  if (json === 1) JSON.parse(data);
  return { topic: parseTopic(topic), key, idempotencyKey, type, data, end: end === 1, json: json === 1 };
}

/**
 * Numbers that one message of the stream takes: the last event in it has the message's number in the stream times this,
 * those before it the numbers just below. So a cursor tells the message, and an array holds at most this many events.
 */
export const SLOTS = 2 ** 14;

/** `json` is left out for text, as in messages of versions that did not know it; those leave it out when they read. */
type Row = readonly [
  topic: string,
  key: string,
  idempotencyKey: string,
  type: string,
  data: string,
  end: 0 | 1,
  json?: 1,
];

const UTF_8 = new TextDecoder("utf-8", { fatal: true });
const BREAKS = /[\r\n\0]/;
