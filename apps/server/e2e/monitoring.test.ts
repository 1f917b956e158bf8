import { expect, test } from "bun:test";
import { ServerProcess } from "./server-process.ts";

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

test("the dashboard and the alerts ask for metrics that there are", async () => {
  const { panels } = JSON.parse(await read("grafana-dashboard.json")) as Dashboard;
  const { groups } = Bun.YAML.parse(await read("alerts.yml")) as Rules;
  const drawn = panels.flatMap(({ targets }) => targets);
  const expressions = [...drawn, ...groups.flatMap(({ rules }) => rules)].map(({ expr }) => expr);
  for (const expression of expressions)
    if (!expression.startsWith("up{"))
      expect([expression, names(expression).length]).toEqual([expression, 1]);

  await using server = await ServerProcess.start();
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const told = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const wanted = expressions.flatMap(names).map((name) => name.replace(/_bucket$/, ""));
  expect(wanted.filter((name) => !told.has(name))).toEqual([]);
  const { rule_files } = Bun.YAML.parse(await read("prometheus.yml")) as { rule_files: string[] };
  expect(rule_files).toEqual(["alerts.yml"]);
});
