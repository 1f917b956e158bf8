import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../src/config.ts";

const unit = await Bun.file(new URL("../../../docs/deploy/sse.service", import.meta.url)).text();
const isMissing = Bun.which("systemd-analyze") === null;

test("the unit starts the server with settings that there are, and waits until it has drained", () => {
  const [, line] = /^ExecStart=\S+ \S+\/apps\/server\/src\/main\.ts (.*)$/m.exec(unit)!;
  const config = readConfig(line!.split(" "), {})!;
  expect(config.log).toBe("sqlite:/var/lib/sse/events.db");
  const [, seconds] = /^TimeoutStopSec=([0-9]+)s$/m.exec(unit)!;
  expect(Number(seconds) * 1000).toBeGreaterThan(config.drain);
});

test.skipIf(isMissing)(
  `systemd takes the unit${isMissing ? " (skipped: systemd-analyze is not installed)" : ""}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "unit-"));
    const path = join(folder, "sse.service");
    await Bun.write(path, unit.replace("/usr/local/bin/bun", process.execPath));
    const { exitCode, stdout, stderr } = Bun.spawnSync(["systemd-analyze", "verify", path]);
    await rm(folder, { recursive: true });
    expect({ exitCode, said: stdout.toString() + stderr.toString() }).toEqual({ exitCode: 0, said: "" });
  },
);
