import type { StreamInfo } from "@nats-io/jetstream";
import type { Cursor } from "../event-id.ts";
import { endId, type NewEvent } from "../../publish/message.ts";
import type { Topic } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import { idempotencyName } from "../numbering.ts";

/**
 * Numbers that one message of the stream takes: the last event in it has the message's number in the stream times this,
 * those before it the numbers just below. So a cursor tells the message, and an array holds at most this many events.
 */
export const SLOTS = 2 ** 14;

type Row = [topic: string, key: string, idempotencyKey: string, type: string, data: string, end: 0 | 1];

/** What a message holds: events that were published together. */
export function payloadOf(events: readonly NewEvent[]): Uint8Array {
  const rows = events.map(({ topic, key, idempotencyKey, type, data, end }): Row => [
    topic,
    key,
    idempotencyKey,
    type,
    data,
    end ? 1 : 0,
  ]);
  return Buffer.from(JSON.stringify(rows));
}

/** @param mark when the server took the message, in nanoseconds since 1970 */
export function recordsOf(message: number, data: Uint8Array, mark: string): BrokerRecord[] {
  const rows = JSON.parse(new TextDecoder().decode(data)) as Row[];
  const time = Number(mark.slice(0, -6));
  return rows.map(([topic, key, idempotencyKey, type, text, end], at) => ({
    seq: message * SLOTS - rows.length + 1 + at,
    time,
    mark,
    event: { topic: topic as Topic, key, idempotencyKey, type, data: text, end: end === 1 },
  }));
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
