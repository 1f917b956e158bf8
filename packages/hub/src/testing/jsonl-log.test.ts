import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JsonlLog } from "../../test/jsonl-log.ts";
import { logContract, newEvent } from "./index.ts";

/* A log that a stranger could have written, on what is exported: the contract suite holds for it. */

const folder = mkdtempSync(join(tmpdir(), "jsonl-"));
process.on("exit", () => rmSync(folder, { recursive: true }));
let count = 0;
let path = "";

logContract("JsonlLog", {
  open: async (options) => new JsonlLog((path = join(folder, `${count++}.jsonl`)), options),
  reopen: async () => new JsonlLog(path),
});

describe("JsonlLog", () => {
  test("is short, and knows of the hub what everybody can", async () => {
    const text = readFileSync(join(import.meta.dirname, "../../test/jsonl-log.ts"), "utf8");
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    expect(lines.length).toBeLessThan(150);
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map(([, target]) => target);
    expect(new Set(imports)).toEqual(new Set(["node:fs", "@sse/hub", "@sse/hub/log"]));
  });

  test("leaves out of the file what is evicted", () => {
    const log = new JsonlLog((path = join(folder, "long.jsonl")), { maxEvents: 10 });
    for (let at = 0; at < 5000; at++) log.append([newEvent("t", `${at}`)]);
    expect(readFileSync(path, "utf8").length).toBeLessThan(300_000);
    expect(new JsonlLog(path, { maxEvents: 10 }).bounds().last).toBe(5000);
  });
});
