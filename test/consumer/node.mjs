/* What runs in the oldest Node that the hub is for, and what misses a package. */
import { createHub, RecordingSink } from "@sse/hub";
import { openNatsLog } from "@sse/hub/nats";
import { openRedisLog } from "@sse/hub/redis";
import { SqliteLog } from "@sse/hub/sqlite";

const hub = createHub({ log: new SqliteLog("events.db") });
const sink = new RecordingSink();
const opening = await hub.open({ topics: ["orders/*"] });
opening.attach(sink);
await hub.publish("orders/42", { event: "paid", data: { total: 99 } });
await hub.close();
const refusals = [];
for (const load of [
  () => openRedisLog({ url: "redis://localhost" }), // these need packages that are not installed
  () => openNatsLog({ url: "nats://localhost" }),
  () => import("@sse/hub/testing"), // this needs Bun
]) {
  refusals.push(await load().catch((error) => error.message));
}
console.log(JSON.stringify([sink.text, ...refusals]));
