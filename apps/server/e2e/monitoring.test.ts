import { expect, test } from "bun:test";
import { BrokerProcess, missing } from "@sse/hub/test/broker-process.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* What docs/deploy draws and alerts on is what the server tells. */

const DEPLOY = new URL("../../../docs/deploy/", import.meta.url);
const read = (name: string): Promise<string> => Bun.file(new URL(name, DEPLOY)).text();

interface Dashboard {
  panels: { targets: { expr: string }[] }[];
}
interface Rules {
  groups: { rules: { expr: string }[] }[];
}

/** Whatever looks like a metric's name, in whatever function. `up` is Prometheus' own. */
const names = (expression: string): string[] =>
  expression.match(/\b(?:sse|nodejs|process)_[a-z0-9_]+/g) ?? [];

/** Only a log that nodes share has these. */
const OF_BROKERS = new Set(["sse_log_connected", "sse_log_behind_seconds", "sse_log_reconnects_total"]);

async function wanted(): Promise<Set<string>> {
  const { panels } = JSON.parse(await read("grafana-dashboard.json")) as Dashboard;
  const { groups } = Bun.YAML.parse(await read("alerts.yml")) as Rules;
  const drawn = panels.flatMap(({ targets }) => targets);
  const expressions = [...drawn, ...groups.flatMap(({ rules }) => rules)].map(({ expr }) => expr);
  for (const expression of expressions)
    if (!expression.startsWith("up{"))
      expect([expression, names(expression).length]).toEqual([expression, 1]);
  return new Set(expressions.flatMap(names).map((name) => name.replace(/_bucket$/, "")));
}

const metrics = async ({ url }: ServerProcess): Promise<string> => (await fetch(`${url}/metrics`)).text();

function told(text: string): Set<string> {
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
}

function valueOf(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

test("the dashboard and the alerts ask for metrics that there are", async () => {
  await using server = await ServerProcess.start();
  expect([...(await wanted()).difference(told(await metrics(server)))].toSorted()).toEqual(
    [...OF_BROKERS].toSorted(),
  );
  const { rule_files } = Bun.YAML.parse(await read("prometheus.yml")) as { rule_files: string[] };
  expect(rule_files).toEqual(["alerts.yml"]);
});

test("how long publishers waited is counted once for each request that was not refused", async () => {
  await using server = await ServerProcess.start();
  await publish(server.url, { topic: "t", data: "1" });
  await publish(server.url, [
    { topic: "t", data: "2" },
    { topic: "t", data: "3" },
  ]);
  for (const [type, body, status] of [
    ["application/x-ndjson", '{"topic":"t","data":"4"}\n', 200],
    ["text/plain", "5", 200],
    ["application/json", "not JSON", 400],
  ] as const) {
    const query = type === "text/plain" ? "?topic=t" : "";
    const request = { method: "POST", headers: { "content-type": type }, body };
    expect((await fetch(`${server.url}/publish${query}`, request)).status).toBe(status);
  }
  const text = await metrics(server);
  expect(valueOf(text, "sse_publish_seconds_count")).toBe(4);
  expect(valueOf(text, "sse_publish_seconds_sum")).toBeGreaterThan(0);
  expect(valueOf(text, "sse_publish_seconds_sum")).toBeGreaterThanOrEqual(
    valueOf(text, "sse_commit_seconds_sum"),
  );
});

const reason = missing("redis");

test.skipIf(reason !== "")(`how a node stands with its broker is told${reason}`, async () => {
  await using broker = await BrokerProcess.start("redis");
  await using server = await ServerProcess.start("--log", broker.url, "--no-demos");
  const text = await metrics(server);
  expect([...(await wanted()).difference(told(text))]).toEqual([]);
  expect(valueOf(text, "sse_log_connected")).toBe(1);
  expect(valueOf(text, "sse_log_behind_seconds")).toBe(0);
  expect(valueOf(text, "sse_log_reconnects_total")).toBe(0);
  await broker.kill();
  await until(async () => valueOf(await metrics(server), "sse_log_connected") === 0);
  await broker.start();
  await until(async () => valueOf(await metrics(server), "sse_log_connected") === 1);
  expect(valueOf(await metrics(server), "sse_log_reconnects_total")).toBe(1);
});
