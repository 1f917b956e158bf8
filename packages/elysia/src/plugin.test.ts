import { expect, test } from "bun:test";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";
import { Admission } from "./admission.ts";
import { sse } from "./plugin.ts";

test("one app serves several hubs, and counts who asks for each of them on its own", async () => {
  const [one, other] = [createHub({ maxStreamsPerAddress: 1 }), createHub()];
  const rated = new Admission(other, { publishRate: 1 });
  const app = new Elysia()
    .group("/one", (group) => group.use(sse({ hub: one })))
    .group("/other", (group) => group.use(sse({ hub: other, admission: rated })))
    .listen({ port: 0, hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${app.server!.port}`;
  const aborter = new AbortController();
  const statusOf = async (path: string, init?: RequestInit) =>
    (await fetch(url + path, { ...init, signal: aborter.signal })).status;
  const publish = { method: "POST", body: "x", headers: { "content-type": "text/plain" } };
  const many = {
    method: "POST",
    body: JSON.stringify(Array.from({ length: 1000 }, () => ({ topic: "a", data: "x" }))),
    headers: { "content-type": "application/json" },
  };
  try {
    expect(await statusOf("/one/events")).toBe(200);
    expect(await statusOf("/one/events", { headers: { accept: "*/*" } })).toBe(429);
    expect(await statusOf("/other/events")).toBe(200);
    expect(one.stats()).toMatchObject({ streams: 1, addresses: 1 });
    expect(other.stats()).toMatchObject({ streams: 1, addresses: 1 });

    // What is taken at once has to be paid for: with a thousand seconds.
    expect(await statusOf("/other/publish", many)).toBe(200);
    expect(await statusOf("/other/publish?topic=a", publish)).toBe(429);
    for (let at = 0; at < 2; at++) expect(await statusOf("/one/publish", many)).toBe(200);
  } finally {
    aborter.abort();
    await app.stop(true);
    await Promise.all([one.close(), other.close()]);
  }
});
