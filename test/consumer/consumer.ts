/* A program of somebody who has installed the packages: type-checked against their declarations, and run in Bun. */
import { subscribe } from "@sse/client";
import { sse } from "@sse/elysia";
import { type Access, accessOf } from "@sse/http";
import { createHub, type Hub, type InputOf, MemoryLog, RecordingSink } from "@sse/hub";
import { SqliteLog } from "@sse/hub/sqlite";
import { decodeEvents, encodeEvent, type ServerSentEvent } from "@sse/protocol";
import { Elysia } from "elysia";
import * as z from "zod";

interface Order {
  total: number;
}
/** What an app's topics carry: for who publishes and who subscribes. */
interface Topics {
  "orders/*": Order;
  news: string;
}
const hub = createHub<Topics>({ log: new MemoryLog({ maxEvents: 10 }) });
const sink = new RecordingSink();
const opening = await hub.open({ topics: ["orders/*"] });
opening.attach(sink);
await hub.publish("orders/42", { data: { total: 99 } });
// @ts-expect-error a wrong payload
const wrong = (): Promise<string> => hub.publish("orders/42", { data: { total: "99" } });
// @ts-expect-error an unknown topic
const unknown = (): Promise<string> => hub.publish("orderz", { data: { total: 99 } });

const schemas = { "orders/*": z.object({ total: z.number() }) };
const input: InputOf<typeof schemas>["orders/*"] = { total: 1 };
const checked = createHub({ schemas });
await checked.publish("orders/42", { data: input });
const any: Hub = checked;
const refusal = await any.publish("orders/42", { data: {} }).catch((error: Error) => error.message);

const access: Access = accessOf({ subscribe: ["**"], publish: ["**"] });
const app = new Elysia()
  .use(sse({ hub, authorize: () => access }))
  .listen({ port: 0, hostname: "127.0.0.1" });
const answer = await fetch(`http://127.0.0.1:${app.server!.port}/events?topic=orders/42&replay=all`);
const types: string[] = [];
for await (const event of decodeEvents(answer.body!)) {
  const { type, data }: ServerSentEvent = event;
  types.push(`${type} ${data}`);
  if (type === "message") break;
}
const orders = subscribe<Topics, "orders/42">(`http://127.0.0.1:${app.server!.port}/events`, {
  topics: ["orders/42"],
  replay: "all",
  shared: true, // there are no other tabs here
});
// @ts-expect-error an unknown topic
const nowhere = (): unknown => subscribe<Topics>("/events", { topics: ["orderz"] });
for await (const { data } of orders) {
  // @ts-expect-error not what the topic carries
  void data.price;
  types.push(`total ${data.total}`);
  break;
}
const log = new SqliteLog(process.argv[2]!);
await log.close();
console.log(
  JSON.stringify([types, refusal, encodeEvent({ data: "x" }), typeof wrong, typeof unknown, typeof nowhere]),
);
process.exit(0);
