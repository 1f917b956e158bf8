import type { DataFor, SelectorFor, TopicMap } from "@sse/protocol";
import type { Message } from "../publish/message.ts";

/** A hub as far as its topics go. */
export interface Typed<Topics extends TopicMap = TopicMap> {
  readonly "~topics"?: Topics;
}

export type MapOf<Hub extends Typed> = Exclude<Hub["~topics"], undefined>;

/** A {@link Message} for this topic. Where the topic has a type, data may be left out only with `end`. */
export type MessageFor<Topics extends TopicMap, Name extends string> = [keyof Topics] extends [never]
  ? Message
  : Message<DataFor<Topics, Name>> & ({ data: DataFor<Topics, Name> } | { end: true });

/** Nothing, where the hub has the topic; else what the error in the editor is to say. */
export type Known<Topics extends TopicMap, Name extends string> = [keyof Topics] extends [never]
  ? unknown
  : [SelectorFor<Topics, Name>] extends [never]
    ? { "is none of the topics": keyof Topics }
    : unknown;

/** {@link MessageFor} for each of these topics, which are told in the messages. */
export type MessagesFor<Topics extends TopicMap, Names extends readonly string[]> = {
  readonly [At in keyof Names]: { topic: Names[At] & Known<Topics, Names[At]> } & MessageFor<
    Topics,
    Names[At]
  >;
};
