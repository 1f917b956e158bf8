import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { readConfig } from "../src/config.ts";
import { publish, SseClient } from "./sse-client.ts";
import { missingForMachine, SystemdMachine } from "./systemd-machine.ts";

const UNIT = new URL("../../../docs/deploy/sse.service", import.meta.url).pathname;
const unit = await Bun.file(UNIT).text();
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

const reason = missingForMachine();

test.skipIf(reason !== "")(
  `a systemd runs the unit: confined, again after a kill, with its events; a stop drains${reason}`,
  async () => {
    const port = await freePort();
    const url = `http://localhost:${port}`;
    await using machine = await SystemdMachine.boot(UNIT, `PORT=${port}\n`);
    const isReady = (): Promise<boolean> =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await machine.until(isReady);
    const { MainPID: pid } = machine.show("sse", "MainPID");
    const status = machine.run("cat", `/proc/${pid}/status`);
    expect(status).not.toMatch(/^Uid:.*\t0\b/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    // Its user alone is somebody here.
    expect(machine.run("cat", `/proc/${pid}/uid_map`).trim().split("\n").length).toBeLessThan(3);
    expect(machine.run("cat", `/proc/${pid}/uid_map`)).not.toContain("4294967295");
    expect(machine.run("grep", " /proc ", `/proc/${pid}/mounts`)).toMatch(/hidepid=(2|invisible)/);
    expect(machine.run("stat", "-L", "-c", "%a", "/var/lib/sse", "/var/lib/sse/events.db")).toBe(
      "700\n600\n",
    );
    expect((await fetch(url)).headers.get("content-type")).toStartWith("text/html");

    const first = await SseClient.open(`${url}/events?topic=t`);
    await publish(url, { topic: "t", data: "1" });
    expect(await first.receive(1)).toEqual(["1"]);
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "sse");
    await machine.until(async () => machine.show("sse", "NRestarts").NRestarts === "1" && (await isReady()));
    await publish(url, { topic: "t", data: "2" });
    await using second = await SseClient.open(`${url}/events?topic=t`, {
      "last-event-id": first.lastEventId,
    });
    expect(await second.receive(1)).toEqual(["2"]);
    expect(second.control("sse:ready")).toEqual([{ resume: "resumed", replayed: 1 }]);

    machine.run("systemctl", "stop", "sse");
    await machine.until(() => second.ended);
    expect(second.control("sse:closing")).toMatchObject([{ reason: "drain" }]);
    expect(machine.show("sse", "ActiveState", "Result")).toEqual({
      ActiveState: "inactive",
      Result: "success",
    });

    machine.run("systemctl", "start", "sse");
    await machine.until(isReady);
    await using third = await SseClient.open(`${url}/events?topic=t&replay=all`);
    expect(await third.receive(2)).toEqual(["1", "2"]);
  },
);
