import type { Topic } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../new-event.ts";

/** An event as it is given to the script that appends it: its names, and its value. */
export function textsOf({ topic, key, idempotencyKey, end, type, data, json }: NewEvent): [string, string] {
  return [`${topic}\0${key}\0${idempotencyKey}`, `${end ? END : json ? JSON_DATA : TEXT}${type}\n${data}`];
}

/** @param taken when it was, and when the event before it was, if that was not together with it */
export function recordOf(seq: Cursor, names: string, value: string, taken: string): BrokerRecord {
  const [topic, key] = names.split("\0", 2) as [string, string];
  const idempotencyKey = names.slice(topic.length + key.length + 2);
  const line = value.indexOf("\n");
  const event: NewEvent = {
    topic: topic as Topic,
    key,
    idempotencyKey,
    end: value.startsWith(END),
    json: value.startsWith(JSON_DATA),
    type: value.slice(1, line),
    data: value.slice(line + 1),
  };
  const [mark, follows = mark] = taken.split(" ") as [string, string?];
  return { seq, time: Number(mark) / 1000, mark, follows, event };
}

/** How a value begins, by what it is: the scripts know an end by it. Nodes that do not know {@link JSON_DATA} take it for text. */
const TEXT = "0";
const END = "1";
const JSON_DATA = "2";
