import { expectTypeOf, test } from "bun:test";
import type { DataFor, DataFrom, SelectorFor } from "./index.ts";

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
