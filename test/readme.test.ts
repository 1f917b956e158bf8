import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ServerProcess } from "../apps/server/e2e/server-process.ts";
import { SseClient, until } from "../apps/server/e2e/sse-client.ts";
import { freePort } from "../packages/hub/test/broker-process.ts";
import { paste, programIn, ROOT, snippetsOf } from "./snippets.ts";

/* The README is run: what it tells a stranger to type has to work. */

const README = await Bun.file(join(ROOT, "README.md")).text();

const snippets = (language: string): string[] => snippetsOf(README, language);
const shell = snippets("sh");

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Runs a snippet as pasted, against the test's server, until it ends or has said `last`. */
const pasteHere = (snippet: string, last?: string): Promise<string> =>
  paste(snippet.replaceAll("localhost:3000", `localhost:${server.port}`), last === undefined ? {} : { last });

describe("the README", () => {
  test("has two commands, and the scripts they call", async () => {
    const { scripts } = (await Bun.file(join(ROOT, "package.json")).json()) as {
      scripts: Record<string, string>;
    };
    expect(shell.slice(0, 2)).toEqual(["npx --yes bun@1.4.5 run start\n", "npx --yes bun@1.4.5 run test\n"]);
    for (const [, script] of README.matchAll(/bun run (\w+)/g))
      expect(Object.keys(scripts)).toContain(script!);
  });

  test("a listener gets what is published from another terminal", async () => {
    const [listen, publish] = [shell[2]!, shell[3]!];
    const heard = pasteHere(listen, "\ndata: hello\n");
    await until(async () => {
      const { streams } = (await (await fetch(`${server.url}/stats`)).json()) as { streams: number };
      return streams === 1;
    });
    expect(await pasteHere(publish)).toMatch(/^\{"id":"[^"]+"\}\n$/);
    await heard;
  });

  test("the other ways to publish are answered with ids", async () => {
    const answers = (await pasteHere(shell[4]!)).match(/\{[^}]*\}/g)!;
    expect(answers.map((answer) => Object.keys(JSON.parse(answer) as object))).toEqual([
      ["id"],
      ["ids"],
      ["id"],
    ]);
  });

  const PUBLISHERS: Record<string, { program: string; source: (snippet: string) => string }> = {
    python: { program: "python3 main.py", source: (snippet) => snippet },
    php: { program: "php main.php", source: (snippet) => `<?php\n${snippet}` },
    go: {
      program: "go run main.go",
      source: (snippet) =>
        `package main\nimport ("io"; "net/http"; "os"; "strings")\nfunc main() {\n${snippet}\n` +
        "if err != nil { panic(err) }\n_, _ = io.Copy(os.Stdout, answer.Body)\n}\n",
    },
  };
  for (const [language, { program, source }] of Object.entries(PUBLISHERS)) {
    const missing = Bun.which(program.split(" ")[0]!) === null;
    test.skipIf(missing)(
      `${language} publishes as printed${missing ? " (skipped: not installed)" : ""}`,
      async () => {
        const folder = await mkdtemp(join(tmpdir(), "sse-readme-"));
        const snippet = snippets(language)[0]!.replace("localhost:3000", `localhost:${server.port}`);
        const [command, ...args] = program.split(" ");
        await Bun.write(join(folder, args.at(-1)!), source(snippet));
        try {
          const child = Bun.spawn([command!, ...args], { cwd: folder, stdout: "pipe", stderr: "pipe" });
          const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
          expect([await child.exited, error]).toEqual([0, ""]);
          expect(out).toMatch(/[0-9a-z]{10}-[0-9]+/);
        } finally {
          await rm(folder, { recursive: true });
        }
      },
    );
  }

  test("a listener that comes back gets what it missed", async () => {
    const heard = await pasteHere(shell[5]!, "data: two\n");
    expect(heard).toContain('{"resume":"resumed","replayed":1}');
    expect(heard).not.toContain("data: one\n");
  });

  test("the Elysia app runs as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("@sse/elysia"))!;
    const port = await freePort();
    await using program = await programIn("apps/server", snippet.replace("3001", String(port)));
    const app = Bun.spawn(["bun", program.file], { stdout: "ignore", stderr: "inherit" });
    try {
      const url = `http://127.0.0.1:${port}/events?topic=orders/42&replay=all`;
      let client: SseClient | null = null;
      await until(async () => (client = await SseClient.open(url).catch(() => null)) !== null);
      await using opened = client!;
      expect(await opened.receive(1)).toEqual(['{"total":99}']);
      expect(opened.events.at(-1)!.type).toBe("paid");
    } finally {
      app.kill("SIGKILL");
    }
  });

  test("has for each framework lines that are in its program", async () => {
    const intro = snippets("ts").find((each) => each.includes("createHandler"))!;
    const rows = [...README.matchAll(/^\| (.*\]\(examples\/servers\/.*) \| (`.*`) +\|$/gm)];
    expect(rows.length).toBeGreaterThan(10);
    for (const [, frameworks, lines] of rows) {
      for (const [, file] of frameworks!.matchAll(/\((examples\/[^)]+)\)/g)) {
        const program = await Bun.file(join(ROOT, file!)).text();
        for (const [, line] of lines!.matchAll(/`([^`]+)`/g)) expect(program).toContain(line!);
        if (file === "examples/servers/bun.ts") expect(program).toStartWith(intro);
      }
    }
  });

  test("hubs whose topics have types run as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("schemas"))!;
    await using program = await programIn("packages/hub", snippet); // where the schemas' library is
    const app = Bun.spawn(["bun", program.file], { stdout: "ignore", stderr: "inherit" });
    expect(await app.exited).toBe(0);
  });

  test("a stream is read as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("decodeEvents"))!;
    const source = snippet.replace("localhost:3000", `localhost:${server.port}`);
    await using program = await programIn("apps/server", source);
    const reader = Bun.spawn(["bun", program.file], { stdout: "pipe", stderr: "inherit" });
    try {
      let text = "";
      for await (const chunk of reader.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text.includes("sse:ready")) break;
      }
      expect(text).toMatch(/^sse:ready \{"resume":"fresh","replayed":0\} [0-9a-z]{10}-[0-9]+\n$/);
    } finally {
      reader.kill("SIGKILL");
    }
  });

  test("names a test for every guarantee, and that test is there", async () => {
    const rows = [...README.matchAll(/^\| .* \| `([^`]+\.test\.ts)`: (.+) \|$/gm)];
    expect(rows.length).toBeGreaterThan(9);
    for (const [, file, name] of rows)
      expect(await Bun.file(join(ROOT, file!)).text()).toContain(name!.trim());
  });

  test.each(["README.md", "docs/http.md", "docs/scaling.md", "packages/client/README.md"])(
    "%s links to what is there",
    async (page) => {
      const text = await Bun.file(join(ROOT, page)).text();
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
        expect(existsSync(join(ROOT, dirname(page), target!)) ? "" : target!).toBe("");
      }
    },
  );
});
