import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Subprocess } from "bun";
import { until } from "./sse-client.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** What the server needs of this repository. */
const PARTS = ["apps", "packages", "docs", "node_modules", "package.json"];

/**
 * systemd takes the control groups that it finds as its own: here they are a part of their own. Groups of version 2 are in
 * the first place or, beside version 1, in the second; systemd's own of version 1 in the third.
 */
const GROUPS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
const ENTER = `for tree in ${GROUPS.join(" ")}; do
  [ -e $tree/cgroup.procs ] || continue
  mkdir $tree/$0 && echo $$ > $tree/$0/cgroup.procs || exit
done; exec "$@"`;

/** Why no systemd can be booted here, or "". */
export function missingForMachine(): string {
  const absent = ["systemd-nspawn", "nsenter"].find((program) => Bun.which(program) === null);
  if (absent !== undefined) return ` (skipped: ${absent} is not installed)`;
  return process.getuid?.() === 0 ? "" : " (skipped: only root may start a machine)";
}

/**
 * A systemd that has booted this machine's /usr, with an empty /etc and /var, this repository in /opt/sse and Bun in
 * /usr/local/bin, and starts a unit. It has processes, mounts and users of its own, but the network of the machine.
 */
export class SystemdMachine implements AsyncDisposable {
  readonly #process: Subprocess;
  readonly #folder: string;
  readonly #name: string;

  private constructor(process: Subprocess, folder: string, name: string) {
    this.#process = process;
    this.#folder = folder;
    this.#name = name;
  }

  /**
   * @param unit the path of its file
   * @param env what is in /etc/sse.env
   */
  static async boot(unit: string, env: string): Promise<SystemdMachine> {
    const folder = await mkdtemp(join(tmpdir(), "machine-"));
    const bin = join(folder, "bin");
    await mkdir(bin);
    await symlink("/opt/bun", join(bin, "bun"));
    await Bun.write(join(folder, "sse.env"), env);
    // Without one systemd would think that it runs for the first time, and enable every unit of this machine.
    await Bun.write(join(folder, "machine-id"), `${crypto.randomUUID().replaceAll("-", "")}\n`);
    const mounts = [
      ...PARTS.map((part) => `${join(ROOT, part)}:/opt/sse/${part}`),
      `${process.execPath}:/opt/bun`,
      `${bin}:/usr/local/bin`,
      `${unit}:/etc/systemd/system/${basename(unit)}`,
      `${join(folder, "sse.env")}:/etc/sse.env`,
      `${join(folder, "machine-id")}:/etc/machine-id`,
    ];
    const name = basename(folder);
    const out = Bun.file(join(folder, "out"));
    const nspawn =
      "--directory=/ --volatile=yes --register=no --keep-unit --console=pipe --kill-signal=SIGRTMIN+3".split(
        " ",
      );
    const binds = mounts.map((mount) => `--bind-ro=${mount}`);
    const init = ["/lib/systemd/systemd", `--unit=${basename(unit)}`];
    const machine = Bun.spawn(
      ["sh", "-c", ENTER, name, "systemd-nspawn", ...nspawn, `--machine=${name}`, ...binds, ...init],
      { stdin: "ignore", stdout: out, stderr: out },
    );
    return new SystemdMachine(machine, folder, name);
  }

  /** Runs a command in it, and returns what it says. */
  run(...command: string[]): string {
    const { pid } = this.#process;
    const leader = Bun.spawnSync(["cat", `/proc/${pid}/task/${pid}/children`])
      .stdout.toString()
      .trim();
    const enter = ["nsenter", "--target", leader, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--"];
    const { exitCode, stdout, stderr } = Bun.spawnSync([...enter, ...command]);
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
    return stdout.toString();
  }

  /** Properties of a unit, as systemd knows them. */
  show(unit: string, ...names: string[]): Record<string, string> {
    const lines = this.run("systemctl", "show", unit, `--property=${names.join(",")}`)
      .trim()
      .split("\n");
    return Object.fromEntries(lines.map((line) => line.split("=", 2) as [string, string]));
  }

  /** Waits until a condition is true; fails with what systemd and the unit have said. */
  async until(condition: () => unknown): Promise<void> {
    try {
      await until(condition);
    } catch (error) {
      const said = await Bun.file(join(this.#folder, "out")).text();
      throw new Error(`${said}\n${this.run("journalctl", "--no-pager", "--lines=50")}`, { cause: error });
    }
  }

  /** Shuts it down, as a machine that is turned off: units are stopped first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.exited;
    const groups = GROUPS.map((tree) => join(tree, this.#name));
    Bun.spawnSync(["find", ...groups, "-depth", "-type", "d", "-delete"], { stderr: "ignore" });
    await rm(this.#folder, { recursive: true });
  }
}
