import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readTokens } from "../packages/elysia/src/index.ts";
import { ServerProcess } from "../apps/server/e2e/server-process.ts";
import { until } from "../apps/server/e2e/sse-client.ts";

/* What the page on authentication tells a stranger to type, and to write, has to work. */

const ROOT = join(import.meta.dir, "..");
const PAGE = await Bun.file(join(ROOT, "docs/authentication.md")).text();
const snippets = (language: string): string[] =>
  [...PAGE.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, kind]) => kind === language)
    .map(([, , code]) => code!);

async function bash(script: string, env: Record<string, string>): Promise<string> {
  const process = Bun.spawn(["bash", "-c", script], {
    cwd: ROOT,
    env: { ...Bun.env, ...env },
    stdout: "pipe",
    stderr: "ignore",
  });
  return await process.stdout.text();
}

const MINTS = `a server starts as told${Bun.which("openssl") === null ? " (no openssl found)" : ""}`;

test.skipIf(Bun.which("openssl") === null)(
  `${MINTS}, a token is minted, and publishes and reads`,
  async () => {
    const [start, use] = snippets("sh") as [string, string];
    const [variable, command] = start.trim().split("\n") as [string, string];
    const secret = (await bash(`${variable}; printf %s "$SSE_JWT_SECRET"`, {})).trim();
    const flags = command.replace("bun run start ", "").replaceAll("'", "").split(" ");
    await using server = await ServerProcess.startWith({ SSE_JWT_SECRET: secret }, ...flags);
    const script = use
      .replaceAll("localhost:3000", `127.0.0.1:${server.port}`)
      .replace("curl -N", "curl -sN --max-time 1")
      .replace("bun run start token", "bun apps/server/src/main.ts token");
    const out = await bash(script, { SSE_JWT_SECRET: secret });
    expect(out).toMatch(/^\{"id":"[^"]+"\}\n/);
    expect(out).toContain("\ndata: paid\n");
  },
);

test("the apps run as printed", async () => {
  const [snippet] = snippets("ts") as [string];
  const file = join(ROOT, "apps/server", `authentication-${process.pid}.ts`);
  const port = 20_001 + 2 * (process.pid % 5000);
  await Bun.write(file, snippet.replace("3001", String(port)).replace("3002", String(port + 1)));
  const app = Bun.spawn(["bun", file], {
    env: { ...Bun.env, SSE_JWT_SECRET: "a secret of at least 32 bytes, for tests" },
    stdout: "ignore",
    stderr: "inherit",
  });
  const status = (at: number, topic: string, headers: Record<string, string> = {}): Promise<number> =>
    fetch(`http://127.0.0.1:${at}/events?topic=${topic}`, { method: "HEAD", headers }).then(
      (response) => response.status,
      () => 0,
    );
  try {
    await until(async () => (await status(port + 1, "public/1")) === 200);
    expect(await status(port, "public/1")).toBe(401);
    expect(await status(port + 1, "users/7")).toBe(401);
    expect(await status(port + 1, "users/7", { "x-session": "session-1" })).toBe(200);
    expect(await status(port + 1, "users/8", { "x-session": "session-1" })).toBe(403);
  } finally {
    app.kill("SIGKILL");
    await rm(file);
  }
});

test("the fixed tokens are read as printed", () => {
  const list = snippets("json").find((each) => each.includes("sha256"))!;
  expect(readTokens(list).map(({ access }) => access.admin)).toEqual([false, true]);
});

test.each(["docs/authentication.md", "SECURITY.md"])("%s names and links to what is there", async (page) => {
  const text = await Bun.file(join(ROOT, page)).text();
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, to]) => join(dirname(page), to!));
  const names = [...text.matchAll(/`((?:apps|packages|docs)\/[^`]+)`/g)].map(([, name]) => name!);
  for (const target of [...links, ...names]) {
    expect(existsSync(join(ROOT, target)) ? "" : target).toBe("");
  }
});
