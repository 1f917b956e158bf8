import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import sveltePlugin from "../examples/svelte-plugin.ts";
import { CHROMIUM } from "../apps/server/e2e/browser.ts";
import { DevToolsBrowser, type DevToolsTab } from "../apps/server/e2e/devtools.ts";
import { ServerProcess } from "../apps/server/e2e/server-process.ts";
import { publish, until } from "../apps/server/e2e/sse-client.ts";

/* The examples are run: the pages in a browser, the publishers in their languages, against the server. */

const EXAMPLES = join(import.meta.dir, "../examples");

/** The pages, and what to publish for them until they show it. */
const PAGES: Record<string, { events: object[]; shows: string }> = {
  html: {
    events: [{ topic: "messages", data: "hello" }],
    shows: "document.querySelector('#messages').innerText === 'hello'",
  },
  react: {
    events: [{ topic: "chat", data: { text: "hello" } }],
    shows: "document.querySelector('#app li').innerText === 'hello'",
  },
  vue: {
    events: [{ topic: "chat", data: { text: "hello" } }],
    shows: "document.querySelector('#app li').innerText === 'hello'",
  },
  svelte: {
    events: [{ topic: "chat", data: { text: "hello" } }],
    shows: "document.querySelector('#app li').innerText === 'hello'",
  },
  dashboard: {
    events: [
      { topic: "metrics/cpu", key: "cpu", data: { name: "cpu", value: 0.5 } },
      { topic: "metrics/ram", key: "ram", data: { name: "ram", value: 7 } },
    ],
    shows: "document.querySelector('#figures').innerText === 'cpu 0.5\\nram 7' && state.innerText === 'live'",
  },
  scores: {
    events: [
      { topic: "scores/1", key: "1", data: { match: "A - B", home: 0, away: 0 } },
      { topic: "scores/1", key: "1", data: { match: "A - B", home: 1, away: 0 } },
    ],
    shows: "document.querySelector('#scores').innerText === 'A - B\\t1 : 0'",
  },
  feed: {
    events: [{ topic: "posts", data: { author: "Ada", text: "hi" } }],
    shows: "document.querySelector('#feed').innerText === 'Ada: hi' && gap.hidden",
  },
  ticker: {
    events: [1, 2.5].map((price) => ({ topic: "trades/ACME", data: { price } })),
    shows: "document.querySelector('#price').innerText === '2.50'",
  },
  tokens: {
    events: [
      ...["To ", "be, ", "or"].map((data) => ({ topic: "answers/1", data })),
      { topic: "answers/1", data: " not", end: true },
    ],
    shows: "answer.innerText === 'To be, or not' && state.innerText === 'done'",
  },
  progress: {
    events: [],
    shows: "document.querySelector('#status').innerText === 'Done and over' && bar.value === 100",
  },
};

async function build(): Promise<Map<string, Blob>> {
  const files = new Map<string, Blob>();
  for (const name of Object.keys(PAGES)) {
    const { outputs } = await Bun.build({
      entrypoints: [join(EXAMPLES, name, "index.html")],
      target: "browser",
      plugins: [sveltePlugin],
      define: { "process.env.NODE_ENV": '"production"' },
      naming: { entry: `${name}.[ext]`, chunk: `${name}-[hash].[ext]` },
    });
    for (const output of outputs) {
      files.set(`/${output.path.replace(/^\.?\//, "")}`, output);
    }
  }
  return files;
}

describe.skipIf(CHROMIUM === null)(
  `the pages${CHROMIUM === null ? " (no Chromium found: set CHROMIUM_PATH)" : ""}`,
  () => {
    let browser: DevToolsBrowser;
    let pages: Bun.Server<undefined>;

    beforeAll(async () => {
      const files = await build();
      pages = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: ({ url }) => {
          const file = files.get(new URL(url).pathname);
          return new Response(file ?? null, { status: file === undefined ? 404 : 200 });
        },
      });
      browser = await DevToolsBrowser.launch();
    });
    afterAll(async () => {
      await browser[Symbol.asyncDispose]();
      await pages.stop(true);
    });

    const open = (name: string, server: ServerProcess): Promise<DevToolsTab> =>
      browser.open(`${pages.url.href}${name}.html?server=${server.url}`);

    test.each(Object.entries(PAGES))("%s shows what is published", async (name, { events, shows }) => {
      await using server = await ServerProcess.start("--cors-origins", pages.url.origin);
      const tab = await open(name, server);
      if (name === "progress") await tab.evaluate("document.querySelector('#start').click()");
      else {
        await until(async () => {
          const stats = (await (await fetch(`${server.url}/stats`)).json()) as { streams: number };
          return stats.streams === 1;
        });
        for (const event of events) await publish(server.url, event);
      }
      await tab.waitFor(shows);
      await tab.close();
    });
  },
);

const PUBLISHERS: Record<string, string[]> = {
  python3: ["publish.py"],
  go: ["run", "publish.go"],
  php: ["publish.php"],
};
describe("the publisher in", () => {
  for (const [program, args] of Object.entries(PUBLISHERS)) {
    const missing = Bun.which(program) === null;
    test.skipIf(missing)(
      `${program} is answered with the event's id${missing ? " (skipped: not installed)" : ""}`,
      async () => {
        await using server = await ServerProcess.start();
        const run = async (): Promise<string> => {
          const child = Bun.spawn([program, ...args, server.url], {
            cwd: join(EXAMPLES, "publish"),
            stdout: "pipe",
            stderr: "pipe",
          });
          const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
          expect([await child.exited, error]).toEqual([0, ""]);
          return out;
        };
        const first = await run();
        expect(first).toMatch(/^\S+\n$/);
        // The same payment twice is published once.
        expect(await run()).toBe(first);
      },
    );
  }
});
