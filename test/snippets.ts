import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/* What a page tells a stranger to type and to write, and how tests do it. */

export const ROOT = join(import.meta.dir, "..");

/** The code blocks of a page in a language. */
export function snippetsOf(page: string, language: string): string[] {
  return [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, kind]) => kind === language)
    .map(([, , code]) => code!);
}

/**
 * Runs a script as pasted, in the root, until it ends or has said `last`.
 *
 * @returns what it said
 * @throws Error with what it said on standard error, if anything
 */
export async function paste(
  script: string,
  { last, env = {} }: { last?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const quiet = script.replaceAll("curl -N", "curl -sN").replaceAll("curl ", "curl -sS ");
  const shell = Bun.spawn(["bash", "-c", quiet], {
    cwd: ROOT,
    env: { ...Bun.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
    detached: true, // so that what it has started can be ended with it
  });
  let out = "";
  for await (const bytes of shell.stdout) {
    out += new TextDecoder().decode(bytes);
    if (last === undefined || !out.includes(last)) continue;
    process.kill(-shell.pid, "SIGKILL");
    return out;
  }
  const error = await shell.stderr.text();
  if (error !== "") throw new Error(error);
  return out;
}

/** A program as printed, in a file of a package, whose dependencies it has, until that is disposed of. */
export async function programIn(
  folder: string,
  source: string,
): Promise<AsyncDisposable & { readonly file: string }> {
  const file = join(ROOT, folder, "dist", `printed-${crypto.randomUUID()}.ts`);
  await mkdir(dirname(file), { recursive: true });
  await Bun.write(file, source);
  return { file, [Symbol.asyncDispose]: () => rm(file) };
}
