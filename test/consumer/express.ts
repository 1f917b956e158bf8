/* An Express app of somebody who followed the readme: type-checked, and run in Node, Bun and Deno. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createHandler } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";
import { decodeEvents } from "@sse/protocol";
import express from "express";

const hub = createHub<{ "orders/*": { total: number } }>();
// @ts-expect-error a wrong payload
const wrong = (): Promise<string> => hub.publish("orders/42", { data: { total: "99" } });
// @ts-expect-error a wrong option
const unknown = (): unknown => createHandler({ hub, basepath: "/" });

const server = express()
  .use(toNodeListener(createHandler({ hub })))
  .listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** The next event after an id. */
async function next(lastEventId: string): Promise<[id: string, data: string]> {
  const answer = await fetch(`${url}/events?topic=orders/42`, { headers: { "last-event-id": lastEventId } });
  for await (const event of decodeEvents(answer.body!))
    if (event.type === "message") return [event.lastEventId, event.data];
  throw new Error("The stream ended.");
}

async function publish(total: number): Promise<string> {
  const body = JSON.stringify({ topic: "orders/42", data: { total } });
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/publish`, { method: "POST", headers, body });
  return ((await answer.json()) as { id: string }).id;
}

const first = await publish(1);
await publish(2);
await publish(3);
const [second, two] = await next(first);
const [, three] = await next(second);
const elsewhere = (await fetch(`${url}/else`)).status;
console.log(JSON.stringify([two, three, elsewhere, typeof wrong, typeof unknown]));
process.exit(0);
