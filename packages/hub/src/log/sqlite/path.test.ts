import { afterAll, beforeEach, expect, test } from "bun:test";
import { appendAtOnce } from "../../../test/append-at-once.ts";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  chmodSync,
  writeFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { SqliteLog } from "./index.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "sse-path-")));
const cwd = process.cwd();
afterAll(() => {
  process.chdir(cwd);
  rmSync(root, { recursive: true });
});

let folder: string;
let folders = 0;
beforeEach(() => {
  folder = join(root, `${++folders}`);
  mkdirSync(join(folder, "real/sub"), { recursive: true });
  process.chdir(folder);
});

function refusal(path: string): string {
  try {
    new SqliteLog(path).close();
  } catch (error) {
    expect(error).toMatchObject({ name: "HubError", code: "log-failed" });
    return (error as Error).message;
  }
  return "";
}

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

test("a new file, its -wal and its folders are for this user alone, whatever the umask", () => {
  const umask = process.umask(0);
  try {
    const log = new SqliteLog("new/folder/x.db");
    appendAtOnce(log, [newEvent("t", "1")]);
    const modes = ["new", "new/folder", "new/folder/x.db", "new/folder/x.db-wal"].map(modeOf);
    expect(modes).toEqual(["700", "700", "600", "600"]);
    log.close();
  } finally {
    process.umask(umask);
  }
});

test("a file and a folder that are there keep the permissions that they have", () => {
  chmodSync("real", 0o755);
  writeFileSync("real/x.db", "");
  chmodSync("real/x.db", 0o640);
  const log = new SqliteLog("real/x.db");
  appendAtOnce(log, [newEvent("t", "1")]);
  expect(["real", "real/x.db", "real/x.db-wal"].map(modeOf)).toEqual(["755", "640", "640"]);
  log.close();
});

/** By what it is named: what makes it so, and where the file is. */
const NAMES: [string, string, () => void, string][] = [
  ["a relative path", "real/x.db", () => {}, "real/x.db"],
  ["a relative path from this folder", "./real/./x.db", () => {}, "real/x.db"],
  ["a path with `..`", "real/../real/sub/../x.db", () => {}, "real/x.db"],
  ["a symlink", "link.db", () => symlinkSync(join(folder, "real/x.db"), "link.db"), "real/x.db"],
  [
    "a symlink to a file that is there",
    "link.db",
    () => {
      new SqliteLog("real/x.db").close();
      symlinkSync("real/x.db", "link.db");
    },
    "real/x.db",
  ],
  [
    "a symlink into a folder that is yet to be made",
    "link.db",
    () => symlinkSync("new/x.db", "link.db"),
    "new/x.db",
  ],
  [
    "a symlink to a symlink",
    "real/sub/link.db",
    () => {
      symlinkSync("../other.db", "real/sub/link.db");
      symlinkSync("sub/../x.db", "real/other.db");
    },
    "real/x.db",
  ],
  ["a file in a symlinked folder", "folder/x.db", () => symlinkSync("real", "folder"), "real/x.db"],
  [
    "a file beside what a symlink stands for",
    "folder/../x.db",
    () => symlinkSync("real/sub", "folder"),
    "real/x.db",
  ],
  [
    "a symlink with `..` in a symlinked folder",
    "folder/link.db",
    () => {
      symlinkSync("real/sub", "folder");
      symlinkSync("../x.db", "real/sub/link.db");
    },
    "real/x.db",
  ],
];

test.each(NAMES)(
  "a file that is named by %s has its `-wal` beside it, the same one all along",
  async (_, name, make, real) => {
    make();
    const clock = new ManualClock();
    const log = new SqliteLog(name, { clock });
    appendAtOnce(log, [newEvent("t", "1")]);
    const which = (path: string): string => {
      const { ino, birthtimeNs } = statSync(path, { bigint: true }); // a number can be given to the next file
      return `${ino} ${birthtimeNs}`;
    };
    const wal = which(`${real}-wal`);
    process.chdir("/"); // the name stays good
    for (let second = 0; second < 3; second++) {
      await clock.advance(1000);
      appendAtOnce(log, [newEvent("t", "x")]);
    }
    expect(log.fault).toBeNull();
    expect(which(join(folder, `${real}-wal`))).toBe(wal);
    const { stdout } = spawnSync("find", [".", "-type", "f"], { cwd: folder });
    expect(stdout.toString().trim().split("\n").toSorted()).toEqual([`./${real}`, `./${real}-wal`]);
    log.close();
  },
);

test("a file is open for nobody else, whatever they name it by", () => {
  symlinkSync("real", "folder");
  symlinkSync("folder/x.db", "link.db");
  const log = new SqliteLog("link.db");
  expect(refusal("real/x.db")).toBe(
    `${folder}/real/x.db is in use by process ${process.pid}; stop that, or name another file`,
  );
  log.close();
});

test("another process is refused, too", () => {
  symlinkSync("real/x.db", "link.db");
  const log = new SqliteLog("link.db");
  appendAtOnce(log, [newEvent("t", "1")]);
  const program = join(import.meta.dirname, "../../../test/another-process.ts");
  const flags =
    process.versions["deno"] === undefined ? [] : ["run", "--allow-all", "--node-modules-dir=manual"];
  const { stdout } = spawnSync(process.execPath, [...flags, program, "real/x.db"], { cwd: folder });
  expect(stdout.toString()).toContain(`real/x.db is in use by process ${process.pid}`);
  log.close();
});

test.each<[string, () => void]>([
  ["put to another file", () => symlinkSync("real/y.db", "new.db")],
  ["put to nothing", () => symlinkSync("real/none.db", "new.db")],
  ["the file itself, moved", () => renameSync("real/x.db", "new.db")],
])("a symlink that is replaced while the file is open is noticed: it is %s", async (_, make) => {
  new SqliteLog("real/y.db").close();
  symlinkSync("real/x.db", "link.db");
  const clock = new ManualClock();
  const log = new SqliteLog("link.db", { clock });
  make();
  renameSync("new.db", "link.db");
  await clock.advance(1000);
  expect(log.fault).toContain(`${folder}/link.db was deleted or replaced while it was open`);
  if (!existsSync("real/x.db")) renameSync("link.db", "real/x.db");
  else unlinkSync("link.db");
  symlinkSync("real/x.db", "link.db");
  await clock.advance(1000);
  expect(log.fault).toBeNull();
  log.close();
});

test.each<[string, string, () => void, string]>([
  ["a symlink to itself", "link.db", () => symlinkSync("link.db", "link.db"), "is a symlink to itself"],
  [
    "symlinks in a circle",
    "link.db",
    () => {
      symlinkSync("other.db", "link.db");
      symlinkSync("link.db", "other.db");
    },
    "is a symlink to itself",
  ],
  [
    "a symlink to a folder",
    "link.db",
    () => symlinkSync("real", "link.db"),
    "is a folder; name a file in it",
  ],
  ["the folder above", "real/..", () => {}, "is a folder; name a file in it"],
  [
    "a file in a folder that is a symlink to nothing",
    "folder/x.db",
    () => symlinkSync("nothing", "folder"),
    "cannot be opened or made",
  ],
])("%s is refused in one line", (_, name, make, message) => {
  make();
  const refused = refusal(name);
  expect(refused).toContain(message);
  expect(refused).not.toContain("\n");
});
