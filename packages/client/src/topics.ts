/** What each topic, or pattern of topics, carries: `{ "orders/*": Order }`. */
export type TopicMap = object;

/** The selectors that may be asked for where the topics are these: the patterns themselves, and what they match. */
export type SelectorOf<Topics extends TopicMap> = Matching<keyof Topics & string>;

/**
 * What comes from any of these topics. An event does not say its topic: so the type is that of the whole
 * subscription.
 */
export type DataOf<Topics extends TopicMap> = Topics[keyof Topics];

type Matching<Pattern extends string> =
  | Pattern
  | (Pattern extends `${infer Before}**`
      ? `${Before}${string}`
      : Pattern extends `${infer Before}*${infer After}`
        ? `${Before}${string}${Matching<After>}`
        : Pattern);
