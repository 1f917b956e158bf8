import { expect, expectTypeOf, test } from "bun:test";
import * as z from "zod";
import { createHub, type Hub, type InputOf, type OutputOf } from "../index.ts";

/* Types, checked by `bun run check`: each `@ts-expect-error` fails it when its line is right. */

interface Order {
  total: number;
  note?: string;
}
interface Topics {
  "orders/*": Order;
  "orders/special": { gift: boolean };
  "chat/**": { text: string };
  "chat/*/typing": boolean;
  news: string;
}

/** Never called: only its types count. */
function typed(hub: Hub<Topics>, name: string, room: "a" | "b", orders: Order[]) {
  return [
    hub.publish("orders/42", { data: { total: 99 } }),
    hub.publish(`orders/${name}`, { event: "paid", key: "k", data: { total: 99, note: "" } }),
    hub.publish("orders/special", { data: { gift: true } }),
    hub.publish(`chat/${name}/x/${name}`, { data: { text: "" } }),
    hub.publish(`chat/${room}/typing`, { data: false }),
    hub.publish("news", { data: "" }),
    hub.publish("news", { end: true }),
    hub.publishMany([
      { topic: "orders/42", data: { total: 99 } },
      { topic: "news", data: "", end: true },
    ]),
    hub.publishMany(orders.map((data, at) => ({ topic: `orders/${at}` as const, data }))),
    hub.end(`chat/${room}`),

    // @ts-expect-error a wrong payload
    hub.publish("orders/42", { data: { total: "99" } }),
    // @ts-expect-error a field that the payload does not have
    hub.publish("orders/42", { data: { total: 99, totl: 1 } }),
    // @ts-expect-error no payload
    hub.publish("orders/42", {}),
    // @ts-expect-error the most specific selector counts
    hub.publish("orders/special", { data: { total: 99 } }),
    // @ts-expect-error the most specific selector counts
    hub.publish("chat/a/typing", { data: { text: "" } }),
    // @ts-expect-error an unknown topic
    hub.publish("orderz/42", { data: { total: 99 } }),
    // @ts-expect-error `*` is one segment
    hub.publish("orders/42/7", { data: { total: 99 } }),
    // @ts-expect-error a pattern is no topic
    hub.publish("orders/*", { data: { total: 99 } }),
    // @ts-expect-error of a name that may be anything nothing is known
    hub.publish(name, { data: "" }),
    // @ts-expect-error a wrong payload among right ones
    hub.publishMany([{ topic: "news", data: "" } as const, { topic: "orders/1", data: { total: "99" } }]),
    // @ts-expect-error an unknown topic among known ones
    hub.publishMany([{ topic: "news", data: "" } as const, { topic: "newz", data: "" }]),
    // @ts-expect-error an unknown topic cannot end
    hub.end("newz"),
  ];
}

/** Never called: without a type anything goes, and with `**` any topic. */
function untyped(hub: Hub, all: Hub<{ "**": { v: number }; a: string }>, name: string) {
  return [
    hub.publish(name, { data: { anything: 1 } }),
    hub.publish("a", {}),
    hub.publishMany([{ topic: name, data: 1 }, { topic: "b" }]),
    hub.end(name),
    all.publish(name, { data: { v: 1 } }),
    all.publish("a", { data: "" }),
    // @ts-expect-error `a` has a type of its own
    all.publish("a", { data: { v: 1 } }),
    // @ts-expect-error `**` has a type
    all.publish("b/c", { data: "" }),
  ];
}

const schemas = { "orders/*": z.object({ total: z.string().transform(Number) }), news: z.string() };
expectTypeOf<InputOf<typeof schemas>["orders/*"]>().toEqualTypeOf<{ total: string }>();
expectTypeOf<OutputOf<typeof schemas>["orders/*"]>().toEqualTypeOf<{ total: number }>();

/** Never called: the types of the schemas are those of the topics. */
function inferred() {
  const hub = createHub({ schemas });
  const declared = createHub<Topics>({ schemas });
  return [
    hub.publish("orders/42", { data: { total: "99" } }),
    // @ts-expect-error the schema takes a string
    hub.publish("orders/42", { data: { total: 99 } }),
    // @ts-expect-error there is no schema
    hub.publish("orders", { data: "" }),
    declared.publish("orders/42", { data: { total: 99 } }),
  ];
}

test("a hub with typed topics is a hub", async () => {
  const hub = createHub<Topics>();
  const any: Hub = hub; // what takes any hub takes it
  expect(await any.publish("whatever", { data: 1 })).toBeString();
  await hub.close();
  expect([typed, untyped, inferred]).toHaveLength(3);
});
