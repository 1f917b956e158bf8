import type { Topic } from "../topics/topic.ts";

/** What a log is given: an event that went through the publisher's door, so that whatever is in here can stand on the wire. */
export interface NewEvent {
  /** Where it goes. */
  readonly topic: Topic;
  /** What `event:` is, "" for none. */
  readonly type: string;
  /** As it goes over the wire, but for its line ends. */
  readonly data: string;
  /** True when the publisher gave a JSON value other than a string, and `data` is its text. An old record without it is text. */
  readonly json: boolean;
  /** What it is about within its topic, "" when the publisher did not say. */
  readonly key: string;
  /** The publisher's id, "" when it gave none. */
  readonly idempotencyKey: string;
  /** True for the event that ends its topic; it has no data of its own. */
  readonly end: boolean;
}

/** The id of the end of a topic that came with an event of this id: one that no publisher can send. */
export function endId(idempotencyKey: string): string {
  return `${idempotencyKey}\0end`;
}
