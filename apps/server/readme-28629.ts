import { sse } from "@sse/elysia";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";

const hub = createHub();
new Elysia().use(sse({ hub })).listen({ port: 28629, hostname: "127.0.0.1" });
await hub.publish("orders/42", { event: "paid", data: { total: 99 } });
