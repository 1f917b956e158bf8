import { expect, test } from "bun:test";
import { openapi } from "@elysiajs/openapi";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";
import { sse } from "./plugin.ts";

test("an app with @elysiajs/openapi has the plugin's routes in its document, and no others of it", async () => {
  const hub = createHub();
  const app = new Elysia().use(openapi({ provider: null })).use(sse({ hub }));
  const response = await app.handle(new Request("http://localhost/openapi/json"));
  const { paths } = (await response.json()) as { paths: Record<string, Record<string, { summary: string }>> };
  const operations = Object.entries(paths).map(([path, methods]) =>
    [path, ...Object.keys(methods)].join(" "),
  );
  expect(operations).toEqual([
    "/events get",
    "/publish post",
    "/healthz get",
    "/readyz get",
    "/stats get",
    "/drain post",
  ]);
  expect(paths["/events"]!["get"]!.summary).toBe("Streams the events of topics");
  await hub.close();
});
