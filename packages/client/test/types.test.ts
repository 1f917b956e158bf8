import { expect, expectTypeOf, test } from "bun:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as v from "valibot";
import {
  EventSource,
  type EventSourceErrorEvent,
  InvalidEventError,
  isFrom,
  type StandardSchema,
  subscribe,
} from "../src/index.ts";
import { WireServer } from "./wire-server.ts";

/* What the type checker says is a part of what is promised: it runs over this file. */

interface Order {
  total: number;
}
interface Gift {
  gift: boolean;
}
interface News {
  title: string;
}
interface Topics {
  "orders/*": Order;
  "orders/special": Gift;
  "news/**": News;
}

/** What a subscription yields. */
type Data<Subscribed> = Subscribed extends AsyncIterable<{ readonly data: infer Value }> ? Value : never;

/** Never called: only checked. */
export async function enveloped(): Promise<void> {
  for await (const event of subscribe<Topics>("/events", {
    topics: ["orders/*", "news/**"],
    envelope: true,
  })) {
    expectTypeOf(event.data).toEqualTypeOf<Order | Gift | News>();
    expectTypeOf<(typeof event)["type" | "id"]>().toEqualTypeOf<string>();
    expectTypeOf(event.key).toEqualTypeOf<string | undefined>();
    // The topic tells them apart: "orders/special" is of the form of "orders/*", too.
    if (event.topic === "news/a") expectTypeOf(event.data).toEqualTypeOf<News>();
    if (event.topic === "orders/42") expectTypeOf(event.data).toEqualTypeOf<Order>();
    if (isFrom(event, "news/**")) expectTypeOf(event.data).toEqualTypeOf<News>();
    else expectTypeOf(event.data).toEqualTypeOf<Order | Gift>();
    if (isFrom(event, "orders/special")) expectTypeOf(event.data).toEqualTypeOf<Order | Gift>();
    // Events of "news/a" need not be from "news/*".
    if (!isFrom(event, "news/*")) expectTypeOf(event.data).toEqualTypeOf<Order | Gift | News>();
    // @ts-expect-error: no event is from there
    if (isFrom(event, "users/*")) void event.data;
  }
  for await (const event of subscribe<{ a: Order; b: News }>("/events", {
    topics: ["a", "b"],
    envelope: true,
  })) {
    switch (event.topic) {
      case "a":
        expectTypeOf(event.data).toEqualTypeOf<Order>();
        break;
      case "b":
        expectTypeOf(event.data).toEqualTypeOf<News>();
        break;
      default:
        expectTypeOf(event).toBeNever();
    }
  }
  type Named = "orders/42" | "news/**";
  for await (const event of subscribe<Topics, Named>("/events", { topics: ["orders/42"], envelope: true })) {
    expectTypeOf(event.topic).toEqualTypeOf<"orders/42" | `news/${string}`>();
    if (event.topic === "orders/42") expectTypeOf(event.data).toEqualTypeOf<Order>();
    else expectTypeOf(event.data).toEqualTypeOf<News>();
  }
  for await (const event of subscribe("/events", { envelope: true })) {
    expectTypeOf(event.topic).toEqualTypeOf<string>();
    expectTypeOf(event.data).toEqualTypeOf<unknown>();
    if (!isFrom(event, "a/*")) expectTypeOf(event.topic).toEqualTypeOf<string>();
  }
  const schema = v.object({ total: v.number() });
  for await (const event of subscribe("/events", { schema, envelope: true })) {
    expectTypeOf(event.topic).toEqualTypeOf<string>();
    expectTypeOf(event.data).toEqualTypeOf<Order>();
  }
  for await (const event of subscribe<Topics>("/events")) {
    // @ts-expect-error: only envelopes tell
    void event.topic;
  }
  // @ts-expect-error: an envelope has to be read
  subscribe<Topics>("/events", { envelope: true, parse: null });
  // @ts-expect-error: no such topic
  subscribe<Topics>("/events", { envelope: true, topics: ["users/1"] });
}

/** Never called: only checked. */
export function checked(source: EventSource): void {
  const orders = subscribe<{ "orders/*": Order }>("/events", { topics: ["orders/42", "orders/*"] });
  expectTypeOf<Data<typeof orders>>().toEqualTypeOf<Order>();
  const all = subscribe<Topics>("/events", { topics: ["orders/1", "news/a/b", "news/**"] });
  expectTypeOf<Data<typeof all>>().toEqualTypeOf<Order | Gift | News>();
  const named = subscribe<Topics, "orders/42" | "orders/7">("/events", { topics: ["orders/42", "orders/7"] });
  expectTypeOf<Data<typeof named>>().toEqualTypeOf<Order>();
  // The most specific selector counts, as for who publishes; a pattern brings what any topic carries that it matches.
  const special = subscribe<Topics, "orders/special">("/events", { topics: ["orders/special"] });
  expectTypeOf<Data<typeof special>>().toEqualTypeOf<Gift>();
  const pattern = subscribe<Topics, "orders/*">("/events", { topics: ["orders/*"] });
  expectTypeOf<Data<typeof pattern>>().toEqualTypeOf<Order | Gift>();
  const mixed = subscribe<Topics, "orders/special" | "news/**">("/events");
  expectTypeOf<Data<typeof mixed>>().toEqualTypeOf<Gift | News>();
  // @ts-expect-error: not one of those that were named
  subscribe<Topics, "orders/42">("/events", { topics: ["orders/43"] });
  // @ts-expect-error: no topic of the map
  subscribe<Topics, "users/1">("/events");
  const untyped = subscribe("/events", { topics: ["anything"] });
  expectTypeOf<Data<typeof untyped>>().toEqualTypeOf<unknown>();
  // @ts-expect-error: no such topic
  subscribe<Topics>("/events", { topics: ["users/1"] });
  const schema = v.object({ total: v.number() });
  const parsed = subscribe("/events", { topics: ["anything"], schema });
  expectTypeOf<Data<typeof parsed>>().toEqualTypeOf<{ total: number }>();
  // @ts-expect-error: the schema is of something else
  subscribe<{ "news/**": { title: string } }>("/events", { schema });
  // The interface that the schemas' authors publish.
  const standard: StandardSchemaV1<unknown, Order> = v.object({ total: v.number() }) as never;
  const ours: StandardSchema<Order> = standard;
  void ours;

  source.onerror = (event: EventSourceErrorEvent) => void event.retryIn;
  source.onerror = (event: Event) => void event;
  source.addEventListener("add", (event) => expectTypeOf(event).toEqualTypeOf<MessageEvent<string>>());
  source.addEventListener("error", (event) => expectTypeOf(event).toEqualTypeOf<EventSourceErrorEvent>());
}

test("a schema of a real library checks and changes data", async () => {
  await using server = await WireServer.start((exchange) =>
    exchange.stream('data: {"total":"x"}\n\ndata: {"total":"7"}\n\n'),
  );
  const refused: InvalidEventError[] = [];
  const schema = v.object({ total: v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number)) });
  const orders = subscribe(server.url, { schema, onInvalid: (error) => refused.push(error) });
  expect((await orders.next()).value?.data).toEqual({ total: 7 });
  expect(refused.map(({ issues, message }) => [issues.length, message.includes("Invalid format")])).toEqual([
    [1, true],
  ]);
  orders.close();
  const strict = subscribe(server.url, { schema });
  expect(await strict.next().catch((error: unknown) => error)).toBeInstanceOf(InvalidEventError);
});

test("stands where the standard's EventSource is wanted", () => {
  // The page's own types are not known here: see assignable.ts, which is checked with them.
  expect(new EventSource("http://localhost", { signal: AbortSignal.abort() })).toBeInstanceOf(EventTarget);
});
