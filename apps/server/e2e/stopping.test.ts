import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RestlessPublisher } from "./restless-publisher.ts";
import { ServerProcess } from "./server-process.ts";
import { SseClient, until } from "./sse-client.ts";

/* A server that is told to stop while publishers go on: without a stream it has nothing else to wait for. */

setDefaultTimeout(60_000);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stopping-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["that keep their connections", true],
  ["that connect anew each time", false],
])("publishers %s are all answered, and what was acknowledged is kept", async (name, keepAlive) => {
  const log = `sqlite:${join(folder, name)}`;
  await using before = await ServerProcess.start("--log", log, "--drain", "1s", "--no-demos");
  const publishers = Array.from(
    { length: 8 },
    (_, at) => new RestlessPublisher(before.port, `${at}`, keepAlive),
  );
  const ended = Promise.all(publishers.map((publisher) => publisher.run()));
  await until(() => publishers.every(({ acknowledged }) => acknowledged.length > 20), 30_000);
  before.process.kill("SIGTERM");
  await ended;
  expect(await before.process.exited).toBe(0);

  const outcomes = publishers.flatMap((publisher) => publisher.outcomes);
  expect(new Set(outcomes)).toEqual(new Set([200, 503, "refused"]));

  const acknowledged = publishers.flatMap((publisher) => publisher.acknowledged);
  await using after = await ServerProcess.start("--log", log);
  await using client = await SseClient.open(`${after.url}/events?topic=t&replay=all`);
  await until(() => client.data.length >= acknowledged.length, 30_000);
  expect(client.data.toSorted()).toEqual(acknowledged.toSorted());
});
