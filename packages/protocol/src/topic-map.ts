/*
 * How a map of topics is read, by who publishes and by who subscribes: an app declares one, and gives it to both.
 */

/**
 * What the events of each topic carry: `{ "orders/*": Order; news: string }`. A map without entries says nothing: any
 * topic, and data of any type.
 */
export type TopicMap = object;

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

/** What is to be published to this topic. Of several topics: what would do for each of them. */
export type DataFor<Topics extends TopicMap, Name extends string> = [keyof Topics] extends [never]
  ? unknown
  : (
        Name extends unknown ? (data: Topics[SelectorFor<Topics, Name> & keyof Topics]) => void : never
      ) extends (data: infer Data) => void
    ? Data
    : never;

/** What comes from these topics, and patterns of topics: of a pattern, what any topic carries that it matches. */
export type DataFrom<Topics extends TopicMap, Selectors extends string = TopicOf<Topics>> = [
  keyof Topics,
] extends [never]
  ? unknown
  : [TopicOf<Topics>] extends [Selectors]
    ? Topics[keyof Topics]
    : Selectors extends `${string}*${string}`
      ? Topics[Meeting<keyof Topics & string, Selectors> & keyof Topics]
      : Topics[SelectorFor<Topics, Selectors> & keyof Topics];

/** What the data of an event is with `envelope=json`. */
export interface Envelope<Topic extends string = string, Data = unknown, Selector extends string = string> {
  /** The topic that the event was published to. */
  readonly topic: Topic;
  /** What the event is about within its topic; left out where the publisher did not say. */
  readonly key?: string;
  /** The JSON value that was published, or a string. */
  readonly data: Data;
  /** What the topic goes by in a map: a type, and never a value. */
  readonly "~selector"?: Selector;
}

/** The envelopes from these topics, and patterns of topics: one for each selector of the map that the topics go by. */
export type EnvelopeFrom<Topics extends TopicMap, Selectors extends string = TopicOf<Topics>> = [
  keyof Topics,
] extends [never]
  ? Envelope
  : [TopicOf<Topics>] extends [Selectors]
    ? EnvelopeOf<Topics, keyof Topics & string>
    : Selectors extends `${string}*${string}`
      ? EnvelopeOf<Topics, Meeting<keyof Topics & string, Selectors>, Matching<Selectors>>
      : Envelope<Selectors, Topics[SelectorFor<Topics, Selectors> & keyof Topics], Selectors>;

type EnvelopeOf<
  Topics extends TopicMap,
  Selectors extends string,
  Form extends string = string,
> = Selectors extends keyof Topics & string
  ? Envelope<Matching<Selectors> & Form, Topics[Selectors], Selectors>
  : never;

/**
 * Those of the envelopes that a selector can be of. One that it selects some topics of, but not all, stays possible where
 * the selector does not match.
 */
export type SelectedBy<Given extends Envelope, Selector extends string> =
  Given extends Envelope<string, unknown, infer Own>
    ? Meets<Own, Selector> extends true
      ? Own extends Selector
        ? Given
        : string extends Own
          ? Given & { readonly "~selected": Selector }
          : Own extends `${string}*${string}`
            ? Given & { readonly "~selected": Selector }
            : Given
      : never
    : never;

/** Those of the selectors that match a topic which the pattern matches too. */
type Meeting<Selectors extends string, Pattern extends string> = Selectors extends unknown
  ? Meets<Selectors, Pattern> extends true
    ? Selectors
    : never
  : never;

type Meets<One extends string, Other extends string> = "**" extends One | Other
  ? true
  : One extends `${infer Segment}/${infer Rest}`
    ? Other extends `${infer OtherSegment}/${infer OtherRest}`
      ? "*" extends Segment | OtherSegment
        ? Meets<Rest, OtherRest>
        : Segment extends OtherSegment
          ? Meets<Rest, OtherRest>
          : false
      : false
    : Other extends `${string}/${string}`
      ? false
      : "*" extends One | Other
        ? true
        : One extends Other
          ? true
          : false;
