import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ServerProcess } from "../apps/server/e2e/server-process.ts";

/* The README is run: what it tells a stranger to type has to work. */

const ROOT = join(import.meta.dir, "..");
const README = await Bun.file(join(ROOT, "README.md")).text();

const snippets = (language: string): string[] =>
  [...README.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, kind]) => kind === language)
    .map(([, , code]) => code!);
const shell = snippets("sh");

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Runs a snippet as pasted, against the test's server; streams end after a second. */
async function paste(snippet: string, seconds = 1): Promise<string> {
  const script = snippet
    .replaceAll("localhost:3000", `localhost:${server.port}`)
    .replaceAll("curl -N", `curl -sN --max-time ${seconds}`)
    .replaceAll("curl ", "curl -sS ");
  const process = Bun.spawn(["bash", "-c", script], { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([process.stdout.text(), process.stderr.text()]);
  await process.exited;
  expect(error.replace(/curl: \(28\).*\n/g, "")).toBe("");
  return out;
}

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
    const heard = paste(listen, 2);
    await Bun.sleep(500);
    expect(await paste(publish)).toMatch(/^\{"id":"[^"]+"\}\n$/);
    expect(await heard).toContain("\ndata: hello\n\n");
  });

  test("the other ways to publish are answered with ids", async () => {
    const answers = (await paste(shell[4]!)).match(/\{[^}]*\}/g)!;
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
    const heard = await paste(shell[5]!);
    expect(heard).toContain('{"resume":"resumed","replayed":1}');
    expect(heard).toContain("data: two\n");
    expect(heard).not.toContain("data: one\n");
  });

  test("the Elysia app runs as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("@sse/elysia"))!;
    const file = join(ROOT, "apps/server", `readme-${process.pid}.ts`);
    const port = 20_000 + (process.pid % 10_000);
    await Bun.write(file, snippet.replace("3001", String(port)));
    const app = Bun.spawn(["bun", file], { stdout: "ignore", stderr: "inherit" });
    try {
      let text = "";
      for (let tries = 0; !text.includes("paid") && tries < 100; tries++) {
        await Bun.sleep(50);
        const abort = AbortSignal.timeout(200);
        try {
          const response = await fetch(`http://127.0.0.1:${port}/events?topic=orders/42&replay=all`, {
            signal: abort,
          });
          for await (const chunk of response.body!) text += new TextDecoder().decode(chunk);
        } catch {
          // Not up yet, or read for long enough.
        }
      }
      expect(text).toContain("event: paid\n");
      expect(text).toContain('data: {"total":99}\n\n');
    } finally {
      app.kill("SIGKILL");
      await rm(file);
    }
  });

  test("hubs whose topics have types run as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("schemas"))!;
    const file = join(ROOT, "packages/hub", `readme-${process.pid}.ts`); // where the schemas' library is
    await Bun.write(file, snippet);
    const app = Bun.spawn(["bun", file], { stdout: "ignore", stderr: "inherit" });
    try {
      expect(await app.exited).toBe(0);
    } finally {
      await rm(file);
    }
  });

  test("a stream is read as printed", async () => {
    const snippet = snippets("ts").find((each) => each.includes("decodeEvents"))!;
    const file = join(ROOT, "apps/server", `readme-stream-${process.pid}.ts`);
    await Bun.write(file, snippet.replace("localhost:3000", `localhost:${server.port}`));
    const reader = Bun.spawn(["bun", file], { stdout: "pipe", stderr: "inherit" });
    try {
      let text = "";
      for await (const chunk of reader.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text.includes("sse:ready")) break;
      }
      expect(text).toMatch(/^sse:ready \{"resume":"fresh","replayed":0\} [0-9a-z]{10}-[0-9]+\n$/);
    } finally {
      reader.kill("SIGKILL");
      await rm(file);
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
