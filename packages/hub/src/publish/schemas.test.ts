import { describe, expect, test } from "bun:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import * as z from "zod";
import { connect, dataOf } from "../../test/client.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { createHub, type Hub, type TopicSchemas } from "../index.ts";

/** The same order, as three libraries write it; each makes a number of the total. */
const ORDERS = {
  zod: z.object({
    total: z.string().transform(Number),
    items: z.array(z.object({ n: z.number() })).optional(),
  }),
  valibot: v.object({
    total: v.pipe(v.string(), v.transform(Number)),
    items: v.optional(v.array(v.object({ n: v.number() }))),
  }),
  arktype: type({ total: "string.numeric.parse", "items?": type({ n: "number" }).array() }),
};

/** Answers later, whenever the test lets it. */
function slow(release: Promise<void>): StandardSchemaV1<number, number> {
  const validate = async (value: unknown): Promise<StandardSchemaV1.Result<number>> => {
    await release;
    return typeof value === "number" ? { value: value * 2 } : { issues: [{ message: "no number" }] };
  };
  return { "~standard": { version: 1, vendor: "test", validate } };
}

function setUp(schemas: TopicSchemas) {
  const clock = new ManualClock();
  const hub: Hub = createHub({ schemas, clock, random: () => 0.5 }); // what comes over HTTP has no type
  const { sink } = connect(hub, { topics: ["**"] });
  const heard = async (): Promise<string[]> => {
    await clock.settle();
    return dataOf(sink);
  };
  return { hub, clock, heard };
}

describe.each(Object.entries(ORDERS))("with a schema of %s", (_, order) => {
  test("publishes what the schema makes of the data", async () => {
    const { hub, heard } = setUp({ "orders/*": order });
    void hub.publish("orders/1", { data: { total: "1" } });
    void hub.publishMany([
      { topic: "orders/1", data: { total: "2", items: [{ n: 1 }] } },
      { topic: "orders/1", end: true },
    ]);
    expect((await heard()).slice(0, 2)).toEqual(['{"total":1}', '{"total":2,"items":[{"n":1}]}']);
  });

  test("refuses data that is not so, all or none, and says where", async () => {
    const { hub, heard } = setUp({ "orders/*": order });
    const wrong = { topic: "orders/1", data: { total: "2", items: [{ n: 1 }, { n: "x" }] } };
    const right = { topic: "orders/1", data: { total: "1" } };
    await expect(hub.publish("orders/1", wrong)).rejects.toMatchObject({
      code: "bad-event",
      message: expect.stringMatching(/^data\.items\[1\]\.n: .*number/),
    });
    await expect(hub.publishMany([right, wrong])).rejects.toMatchObject({
      code: "bad-event",
      message: expect.stringMatching(/^event 1: data\.items\[1\]\.n: .*number/),
    });
    expect(await heard()).toEqual([]);
  });
});

describe("schemas", () => {
  test("of several that match, the most specific counts", async () => {
    const is = (text: string) => z.literal(text);
    const { hub } = setUp({
      "**": is("**"),
      "*/b/c": is("*/b/c"),
      "a/**": is("a/**"),
      "a/*/c": is("a/*/c"),
      "a/b/**": is("a/b/**"),
      "a/x/c": is("a/x/c"),
    });
    const cases = {
      "a/b/c": "a/b/**",
      "a/x/c": "a/x/c",
      "a/y/c": "a/*/c",
      "a/y": "a/**",
      "z/b/c": "*/b/c",
      z: "**",
    };
    for (const [topic, selector] of Object.entries(cases)) {
      await expect(hub.publish(topic, { data: "none" })).rejects.toThrow(JSON.stringify(selector));
    }
  });

  test("a topic without one is refused, to publish to and to end", async () => {
    const { hub, heard } = setUp({ "orders/*": z.unknown(), news: z.string() });
    const refusal = { code: "bad-topic", message: expect.stringContaining("orders/*, news") };
    await expect(hub.publish("orders", { data: 1 })).rejects.toMatchObject(refusal);
    await expect(hub.end("orders/1/2")).rejects.toMatchObject(refusal);
    expect(await heard()).toEqual([]);
  });

  test("a text is a string, and never parsed", async () => {
    const { hub, heard } = setUp({ text: z.string(), number: z.number() });
    void hub.publish("text", { data: "42" });
    await expect(hub.publish("number", { data: "42" })).rejects.toThrow(/^data: .*number/);
    expect(await heard()).toEqual(["42"]);
  });

  test("what is missing is missing, and what a schema leaves out too", async () => {
    const { hub } = setUp({ a: z.unknown(), b: z.any().transform(() => undefined) });
    await expect(hub.publish("a", {})).rejects.toThrow("data is missing");
    await expect(hub.publish("b", { data: 1 })).rejects.toThrow("data is missing");
  });

  test("one that takes its time is waited for, and one event of many with it", async () => {
    const release = Promise.withResolvers<void>();
    const { hub, heard } = setUp({ slow: slow(release.promise), fast: z.number() });
    const kept = hub.publish("slow", { data: 2 });
    const all = hub.publishMany([
      { topic: "fast", data: 1 },
      { topic: "slow", data: 3 },
    ]);
    const none = hub.publishMany([
      { topic: "fast", data: 9 },
      { topic: "slow", data: "x" },
    ]);
    expect(await heard()).toEqual([]);
    release.resolve();
    await expect(none).rejects.toThrow("event 1: data: no number");
    expect(await heard()).toEqual(["4", "1", "6"]);
    expect([await kept, ...(await all)]).toHaveLength(3);
  });

  test("events keep the order in which they are published", async () => {
    const { hub, heard } = setUp({ a: z.number() });
    void hub.publish("a", { data: 1 });
    void hub.publishMany([{ topic: "a", data: 2 }]);
    void hub.publish("a", { data: 3 });
    expect(await heard()).toEqual(["1", "2", "3"]);
  });

  test("few of many faults are told, and briefly", async () => {
    const { hub } = setUp({ a: z.array(z.number()), b: z.literal("x".repeat(10_000)) });
    const message = await hub.publish("a", { data: Array(9).fill("x") }).catch(String);
    expect(message).toMatch(/data\[0\].*; data\[1\].*; data\[2\].*; and 6 more$/);
    expect((await hub.publish("b", { data: 1 }).catch(String)).length).toBeLessThan(300);
  });

  test("names that are none in JavaScript are quoted in the path", async () => {
    const { hub } = setUp({ a: z.object({ "x y": z.number() }) });
    await expect(hub.publish("a", { data: { "x y": "" } })).rejects.toThrow(/^data\["x y"\]: /);
  });

  test("what a schema throws is thrown", async () => {
    const { hub } = setUp({
      a: z.any().transform(() => {
        throw new Error("broken schema");
      }),
    });
    await expect(hub.publish("a", { data: 1 })).rejects.toThrow("broken schema");
  });

  test("what is no schema or no selector is refused at once", () => {
    expect(() => setUp({ a: {} as StandardSchemaV1 })).toThrow('schemas["a"] is no Standard Schema');
    expect(() => setUp({ "a**": z.any() })).toThrow("is no pattern");
  });
});
