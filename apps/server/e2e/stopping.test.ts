import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RestlessPublisher } from "./restless-publisher.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/* A server that is told to stop while publishers go on: only where there is a stream it has something else to wait for. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stopping-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["that keep their connections", true, 0],
  ["that connect anew each time", false, 0],
  ["beside streams", true, 3],
])("publishers %s are all answered, and what was acknowledged is kept", async (name, keepAlive, streams) => {
  const log = `sqlite:${join(folder, name)}`;
  await using before = await ServerProcess.start("--log", log, "--drain", "1s", "--no-demos");
  const clients = await Promise.all(
    Array.from({ length: streams }, () => SseClient.open(`${before.url}/events?topic=t`)),
  );
  await until(() => clients.every(({ events }) => events.length > 0));
  const publishers = Array.from(
    { length: 8 },
    (_, at) => new RestlessPublisher(before.port, `${at}`, keepAlive),
  );
  const ended = Promise.all(publishers.map((publisher) => publisher.run()));
  await until(() => publishers.every(({ acknowledged }) => acknowledged.length > 20));
  before.process.kill("SIGTERM");
  await ended;
  expect(await before.process.exited).toBe(0);

  const outcomes = publishers.flatMap((publisher) => publisher.outcomes);
  expect(new Set(outcomes)).toEqual(new Set([200, 503, "refused"]));

  const acknowledged = publishers.flatMap((publisher) => publisher.acknowledged);
  await using after = await ServerProcess.start("--log", log);
  await using client = await SseClient.open(`${after.url}/events?topic=t&replay=all`);
  await until(() => client.data.length >= acknowledged.length);
  expect(client.data.toSorted()).toEqual(acknowledged.toSorted());
});
