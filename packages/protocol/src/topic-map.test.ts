import { expectTypeOf, test } from "bun:test";
import type { DataFor, DataFrom, Envelope, EnvelopeFrom, SelectedBy, SelectorFor } from "./index.ts";

/* Types, checked by `bun run check`. What they do for who publishes and subscribes is tested there. */

interface Order {
  total: number;
}
interface Topics {
  "orders/*": Order;
  "orders/special": { gift: boolean };
  "chat/**": { text: string };
  "chat/*/typing": boolean;
  news: string;
}
interface Segments {
  "*/b/c": 1;
  "a/*/d": 2;
  "a/**": 3;
  "x/y": 4;
}

test("of several selectors the most specific counts", () => {
  expectTypeOf<SelectorFor<Topics, "orders/42">>().toEqualTypeOf<"orders/*">();
  expectTypeOf<SelectorFor<Topics, "chat/a/typing">>().toEqualTypeOf<"chat/*/typing">();
  expectTypeOf<SelectorFor<Topics, "chat/a/typing/b">>().toEqualTypeOf<"chat/**">();
  expectTypeOf<SelectorFor<Topics, "chat">>().toEqualTypeOf<never>();
  // The first segment that differs decides, also where more words follow in the other.
  expectTypeOf<SelectorFor<{ "a/**": 1; "*/b/c": 2; "**": 3 }, "a/b/c">>().toEqualTypeOf<"a/**">();
  expectTypeOf<SelectorFor<{ "*/b": 2; "**": 3 }, "a/c">>().toEqualTypeOf<"**">();
  // Several topics: what would do for each of them.
  expectTypeOf<DataFor<Topics, "news" | "orders/42">>().toEqualTypeOf<string & Order>();
});

test("from a pattern comes what any topic carries that it matches", () => {
  expectTypeOf<DataFrom<Topics, "orders/42">>().toEqualTypeOf<Order>();
  expectTypeOf<DataFrom<Topics, "orders/*">>().toEqualTypeOf<Order | { gift: boolean }>();
  expectTypeOf<DataFrom<Topics, "news" | "orders/special">>().toEqualTypeOf<string | { gift: boolean }>();
  expectTypeOf<DataFrom<Topics>>().toEqualTypeOf<Topics[keyof Topics]>();
  expectTypeOf<DataFrom<Segments, "a/*/c">>().toEqualTypeOf<1 | 3>();
  expectTypeOf<DataFrom<Segments, "*/*/d">>().toEqualTypeOf<2 | 3>();
  expectTypeOf<DataFrom<Segments, "x/*">>().toEqualTypeOf<4>();
  expectTypeOf<DataFrom<Segments, "x/**">>().toEqualTypeOf<1 | 4>();
  expectTypeOf<DataFrom<Segments, "q/*">>().toEqualTypeOf<never>();
  expectTypeOf<DataFrom<Segments, "a/b/c">>().toEqualTypeOf<3>();
  expectTypeOf<DataFrom<object, "a">>().toEqualTypeOf<unknown>();
});

test("an envelope has the type of the selector that its topic goes by", () => {
  type Chat = Envelope<`chat/${string}`, { text: string }, "chat/**">;
  type Typing = Envelope<`chat/${string}/typing`, boolean, "chat/*/typing">;
  type News = Envelope<"news", string, "news">;
  type Found = EnvelopeFrom<Topics, "chat/**" | "news">;
  expectTypeOf<Exclude<Found, News>["data"]>().toEqualTypeOf<{ text: string } | boolean>();
  expectTypeOf<Extract<Found, { topic: "news" }>>().toEqualTypeOf<News>();
  expectTypeOf<EnvelopeFrom<Topics, "orders/42">>().toEqualTypeOf<
    Envelope<"orders/42", Order, "orders/42">
  >();
  expectTypeOf<EnvelopeFrom<Topics>["data"]>().toEqualTypeOf<Topics[keyof Topics]>();
  expectTypeOf<EnvelopeFrom<object, "a">>().toEqualTypeOf<Envelope>();
  // Where a selector selects some of another's topics, that it does not match tells nothing.
  expectTypeOf<SelectedBy<Chat | Typing | News, "chat/**">["data"]>().toEqualTypeOf<
    { text: string } | boolean
  >();
  expectTypeOf<SelectedBy<Chat | News, "chat/a">>().toEqualTypeOf<
    Chat & { readonly "~selected": "chat/a" }
  >();
  expectTypeOf<SelectedBy<Chat | News, "news">>().toEqualTypeOf<News>();
  expectTypeOf<SelectedBy<Chat | News, "orders/*">>().toEqualTypeOf<never>();
});
