import { expect, test } from "bun:test";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";
import * as z from "zod";
import { sse } from "./plugin.ts";

function setUp() {
  const hub = createHub({
    schemas: {
      "orders/*": z.object({ total: z.number(), state: z.string().default("new") }),
      news: z.string(),
    },
  });
  const app = new Elysia().use(sse({ hub })); // the plugin takes a hub of any topics
  const post = async (body: string, type = "application/json", query = "") => {
    const headers = { "content-type": type };
    const response = await app.handle(
      new Request(`http://localhost/publish${query}`, { method: "POST", headers, body }),
    );
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { hub, post };
}

const right = { topic: "orders/1", data: { total: 1 } };
const wrong = { topic: "orders/1", data: { total: "1" } };

test.each([
  ["an event", JSON.stringify(wrong), /^data\.total: .*expected number/],
  ["an array", JSON.stringify([right, right, right, wrong]), /^event 3: data\.total: .*expected number/],
  [
    "NDJSON",
    `${JSON.stringify(right)}\n${JSON.stringify(wrong)}`,
    /^event 1: data\.total: .*expected number/,
  ],
  ["no schema", JSON.stringify({ ...right, topic: "else" }), /^topic "else" has no schema here; .*news/],
])("%s that a schema refuses is told where, and nothing of it is published", async (_, body, detail) => {
  const { hub, post } = setUp();
  const type = body.includes("\n") ? "application/x-ndjson" : "application/json";
  const answer = await post(body, type);
  expect(answer).toMatchObject({ status: 400, body: { status: 400, title: "Bad Request" } });
  expect(answer.body["detail"]).toMatch(detail);
  expect(hub.stats().published).toBe(0);
  await hub.close();
});

test("what a schema takes is published, a text as a string", async () => {
  const { hub, post } = setUp();
  expect((await post(JSON.stringify([right, right]))).status).toBe(200);
  expect((await post("42", "text/plain", "?topic=news")).status).toBe(200);
  const text = await post('{"total":1}', "text/plain", "?topic=orders/1");
  expect(text.status).toBe(400);
  expect(text.body["detail"]).toMatch(/^data: .*expected object/);
  expect(hub.stats().published).toBe(3);
  await hub.close();
});
