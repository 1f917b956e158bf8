import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { readTokens } from "../packages/http/src/index.ts";
import { ServerProcess } from "../apps/server/e2e/server-process.ts";
import { until } from "../apps/server/e2e/sse-client.ts";
import { freePort } from "../packages/hub/test/broker-process.ts";
import { paste, programIn, ROOT, snippetsOf } from "./snippets.ts";

/* What the page on authentication tells a stranger to type, and to write, has to work. */

const PAGE = await Bun.file(join(ROOT, "docs/authentication.md")).text();
const snippets = (language: string): string[] => snippetsOf(PAGE, language);

const MINTS = `a server starts as told${Bun.which("openssl") === null ? " (no openssl found)" : ""}`;

test.skipIf(Bun.which("openssl") === null)(
  `${MINTS}, a token is minted, and publishes and reads`,
  async () => {
    const [start, use] = snippets("sh") as [string, string];
    const [variable, command] = start.trim().split("\n") as [string, string];
    const secret = (await paste(`${variable}; printf %s "$SSE_JWT_SECRET"`)).trim();
    const flags = command.replace("bun run start ", "").replaceAll("'", "").split(" ");
    await using server = await ServerProcess.startWith({ SSE_JWT_SECRET: secret }, ...flags);
    const script = use
      .replaceAll("localhost:3000", `127.0.0.1:${server.port}`)
      .replace("bun run start token", "bun apps/server/src/main.ts token");
    const out = await paste(script, { last: "\ndata: paid\n", env: { SSE_JWT_SECRET: secret } });
    expect(out).toMatch(/^\{"id":"[^"]+"\}\n/);
  },
);

test("the apps run as printed", async () => {
  const [snippet] = snippets("ts") as [string];
  const [one, other] = [await freePort(), await freePort()];
  const source = snippet.replace("3001", String(one)).replace("3002", String(other));
  await using program = await programIn("apps/server", source);
  const app = Bun.spawn(["bun", program.file], {
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
    await until(async () => (await status(other, "public/1")) === 200);
    expect(await status(one, "public/1")).toBe(401);
    expect(await status(other, "users/7")).toBe(401);
    expect(await status(other, "users/7", { "x-session": "session-1" })).toBe(200);
    expect(await status(other, "users/8", { "x-session": "session-1" })).toBe(403);
  } finally {
    app.kill("SIGKILL");
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
