import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import root from "../../package.json" with { type: "json" };
import { CuttingProxy } from "../../apps/server/e2e/cutting-proxy.ts";
import { until } from "../../apps/server/e2e/sse-client.ts";
import examples from "../../examples/servers/package.json" with { type: "json" };
import { freePort } from "../../packages/hub/test/broker-process.ts";
import { packAll } from "../../packages/pack.ts";
import { nodeBinary } from "../runtimes/node-binary.ts";
import { ROOT } from "../snippets.ts";
import { type Client, graphqlClient, httpClient, trpcClient } from "./clients.ts";

/*
 * `bun run test:examples`: the servers in examples/servers, each in its own runtime, with the packages as they are published.
 * Needs a registry for the frameworks. The table in examples/README.md says how each is started.
 */

setDefaultTimeout(300_000); // only what hangs takes so long

const SERVERS = join(ROOT, "examples/servers");
const ROW = /^\| ([^|]+?) +\| \[[^\]]+\]\(servers\/([^)]+)\) +\| `([^`]+)` +\| `([^`]+)` +\|$/gm;
const rows = [...(await Bun.file(join(SERVERS, "../README.md")).text()).matchAll(ROW)].map(
  ([, name, program, command, path]) => ({
    name: name!,
    program: program!,
    command: command!,
    path: path!.replace(/\/events$/, ""),
  }),
);

const TOKENS = [
  { token: "publishes-and-reads", subscribe: ["**"], publish: ["**"], admin: true },
  { token: "reads-orders-only", subscribe: ["orders/*"] },
] as const;
const [WRITER, READER] = TOKENS;
const CLIENTS: Record<string, (url: string, token: string) => Client> = {
  tRPC: trpcClient,
  "GraphQL over SSE": graphqlClient,
};

let folder: string;
let env: Record<string, string | undefined>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-servers-"));
  await cp(SERVERS, folder, { recursive: true });
  // That of this repository.
  for (const own of ["tsconfig.json", "node_modules"]) await rm(join(folder, own), { recursive: true });
  const tarballs = await packAll(join(folder, "packages"));
  const catalog: Record<string, string> = root.workspaces.catalog;
  const versions = { ...examples.dependencies, ...examples.devDependencies };
  const dependencies = Object.entries(versions).map(([name, version]) => [
    name,
    version === "catalog:" ? catalog[name] : version,
  ]);
  const typescript = root.devDependencies.typescript;
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...Object.fromEntries(dependencies), typescript, ...tarballs },
  };
  await Bun.write(join(folder, "package.json"), JSON.stringify(manifest));
  env = {
    ...Bun.env,
    NO_COLOR: "1",
    NEXT_TELEMETRY_DISABLED: "1",
    PATH: `${dirname(await nodeBinary("24"))}:${Bun.env["PATH"]}`,
    SSE_TOKENS: JSON.stringify(TOKENS),
  };
  const install = Bun.spawn(["bun", "install", "--silent"], { cwd: folder, env, stderr: "pipe" });
  if ((await install.exited) !== 0) throw new Error(await install.stderr.text());
});
afterAll(() => rm(folder, { recursive: true }));

/** Starts a server, and waits until it answers. */
async function start(command: string, path: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}${path}`;
  const log = Bun.file(join(folder, `${port}.log`));
  const server = Bun.spawn(["bash", "-c", command], {
    cwd: folder,
    env: { ...env, PORT: String(port) },
    stdout: log,
    stderr: log,
    detached: true, // so that what it has started can be ended with it
  });
  const stop = async (): Promise<void> => {
    if (server.exitCode === null) process.kill(-server.pid, "SIGKILL");
    await server.exited;
  };
  while (!(await isUp(url))) {
    if (server.exitCode !== null) throw new Error(`${command}\n${await log.text()}`);
    await Bun.sleep(50);
  }
  return { url, stop };
}

const isUp = (url: string): Promise<boolean> =>
  fetch(url).then(
    () => true,
    () => false,
  );

test("the table names every server", async () => {
  const programs = await Array.fromAsync(new Bun.Glob("**/*.ts").scan(SERVERS));
  const named = rows.map(({ program }) => program);
  expect(named.length).toBeGreaterThan(10);
  for (const program of programs)
    if (/createHub/.test(await Bun.file(join(SERVERS, program)).text())) expect(named).toContain(program);
});

test("the program for Deno has the right types", async () => {
  const check = Bun.spawn(["deno", "check", "--quiet", "deno.ts"], { cwd: folder, env, stderr: "pipe" });
  expect(await check.stderr.text()).toBe("");
});

describe.each(rows)("the server in $name", ({ name, command, path }) => {
  let server: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    server = await start(command, path);
  });
  afterAll(() => server?.stop());

  const client = ({ token }: { token: string }): Client => (CLIENTS[name] ?? httpClient)(server.url, token);

  test("sends what is published, and closes the stream when the client leaves", async () => {
    const following = await client(READER).follow("orders/1");
    await client(WRITER).publish("orders/1", "live");
    await until(() => following.data.length > 0);
    expect(following.data).toEqual(["live"]);
    expect(await client(WRITER).streams()).toBe(1);
    following.stop();
    await until(async () => (await client(WRITER).streams()) === 0);
  });

  test("sends what a client missed after its last event id", async () => {
    const writer = client(WRITER);
    const first = await writer.publish("orders/2", "one");
    await writer.publish("orders/2", "two");
    await writer.publish("orders/2", "three");
    const following = await writer.follow("orders/2", first);
    await until(() => following.data.length >= 2);
    expect(following.data).toEqual(["two", "three"]);
    following.stop();
  });

  // Only tRPC's client reconnects by itself.
  if (name === "tRPC") {
    test("the client reconnects after a cut, and resumes", async () => {
      let connections = 0;
      const budget = (): number => (connections++ === 0 ? 4000 : Infinity);
      await using proxy = await CuttingProxy.start(Number(new URL(server.url).port), budget);
      const following = await trpcClient(proxy.url + path, READER.token).follow("orders/5");
      const long = "x".repeat(8000);
      await client(WRITER).publish("orders/5", long);
      await until(() => following.data.length > 0);
      expect(following.data).toEqual([long]);
      expect(proxy.requests.map(({ cut, lastEventId }) => [cut, lastEventId !== null])).toEqual([
        [true, false],
        [false, true],
      ]);
      following.stop();
    });
  }

  test("refuses an unknown token with 401, and what a token does not allow with 403", async () => {
    const unknown = client({ token: "nobody-has-this-token" });
    expect(unknown.follow("orders/3")).rejects.toThrow("status 401");
    expect(unknown.publish("orders/3", "no")).rejects.toThrow("status 401");
    expect(client(READER).follow("private")).rejects.toThrow("status 403");
    expect(client(READER).publish("orders/3", "no")).rejects.toThrow("status 403");
  });

  test("closes the stream when its topic ends", async () => {
    const following = await client(READER).follow("orders/4");
    await client(WRITER).publish("orders/4", "last", { end: true });
    await until(() => following.done);
    expect(following.data).toEqual(["last"]);
    expect(following.endedTopics).toEqual(["orders/4"]);
  });
});
