import type { Message } from "./event.ts";

/**
 * What the events of each topic carry: `{ "orders/*": Order; news: string }`. A map without entries says nothing: any
 * topic, and data of any type.
 */
export type TopicMap = object;

/** A hub as far as its topics go. */
export interface Typed<Topics extends TopicMap = TopicMap> {
  readonly "~topics"?: Topics;
}

export type MapOf<Hub extends Typed> = Exclude<Hub["~topics"], undefined>;

/** The topics that a map has, as far as a template can tell: a `*` in it may hold a `/`. */
export type TopicOf<Topics extends TopicMap> = [keyof Topics] extends [never]
  ? string
  : Matching<keyof Topics & string>;

type Matching<Selector extends string> = Selector extends "**"
  ? string
  : Selector extends `${infer Before}/**`
    ? `${Matching<Before>}/${string}`
    : Selector extends `${infer Before}*${infer After}`
      ? `${Before}${string}${Matching<After>}`
      : Selector;

/**
 * The selector of a map that a topic goes by: the most specific of those that match. Read from the left, at the first
 * segment in which two of them differ, a word is more specific than `*`, and `*` than `**`. What is not known of a topic
 * when its type is checked, as the number in `orders/${number}`, counts as one segment that no selector names.
 */
export type SelectorFor<Topics extends TopicMap, Name extends string> = Name extends `${string}*${string}`
  ? never // a pattern is none to publish to
  : MostSpecific<keyof Topics & string, Name>;

type MostSpecific<
  Selectors extends string,
  Name extends string,
  Before extends string = "",
> = Name extends `${infer Segment}/${infer Rest}`
  ? Either<
      Within<Selectors, Rest, `${Before}${Segment}/`>,
      Either<Within<Selectors, Rest, `${Before}*/`>, Extract<Selectors, `${Before}**`>>
    >
  : Either<
      Extract<`${Before}${Name}`, Selectors>,
      Either<Extract<`${Before}*`, Selectors>, Extract<`${Before}**`, Selectors>>
    >;

/** Looks no further where no selector begins like this. */
type Within<Selectors extends string, Rest extends string, Before extends string> =
  Extract<Selectors, `${Before}${string}`> extends infer Left extends string
    ? [Left] extends [never]
      ? never
      : MostSpecific<Left, Rest, Before>
    : never;

type Either<First, Second> = [First] extends [never] ? Second : First;

/** What an event of this topic carries. Of several topics: what would do for each of them. */
export type DataFor<Topics extends TopicMap, Name extends string> = [keyof Topics] extends [never]
  ? unknown
  : (
        Name extends unknown ? (data: Topics[SelectorFor<Topics, Name> & keyof Topics]) => void : never
      ) extends (data: infer Data) => void
    ? Data
    : never;

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
