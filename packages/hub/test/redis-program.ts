import process from "node:process";
import { createHub, RecordingSink } from "../src/index.ts";
import { openRedisLog, type RedisLogOptions } from "../src/log/redis/redis-log.ts";
import { dataOf } from "./client.ts";

/* What a program does with a log in Redis, in whatever runtime runs this: the options come as JSON, what came goes out as JSON. */

const options = JSON.parse(process.argv[2]!) as RedisLogOptions;
const log = await openRedisLog({ ...options, window: { maxEvents: 2 } });
const hub = createHub({ log });
const live = new RecordingSink();
(await hub.open({ topics: ["a/*"] })).attach(live);
for (let at = 0; at < 20; at++) await hub.publish("a/1", { data: `${at}` });
const late = new RecordingSink();
(await hub.open({ topics: ["a/*"], replay: "all" })).attach(late);
while (dataOf(live).length < 20 || dataOf(late).length < 20)
  await new Promise((resolve) => setTimeout(resolve, 1));
await hub.close({ within: 0 });
await log.close();
console.log(JSON.stringify([dataOf(live), dataOf(late)])); // and nothing keeps it alive
