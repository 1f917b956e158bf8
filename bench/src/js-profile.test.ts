import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsTime } from "./js-profile.ts";

const node = (id: number, url: string, children: number[] = []) => ({ id, callFrame: { url }, children });

/** A request that is published and brought to the streams; node 5 is Bun's own `write`, node 6 its event loop. */
const NODES = [
  node(1, "", [2, 6]),
  node(2, "file:///x/packages/elysia/src/publish.ts", [3, 4]),
  node(3, "file:///x/packages/hub/src/log/memory/memory-log.ts"),
  node(4, "file:///x/packages/hub/src/deliver/fan-out.ts", [5]),
  node(5, ""),
  node(6, ""),
];

test("time counts to the part that called, from a time on, and sleep to none", async () => {
  const folder = await mkdtemp(join(tmpdir(), "js-profile-"));
  const file = join(folder, "some.cpuprofile");
  const profile = {
    nodes: NODES,
    startTime: 1000,
    samples: [2, 2, 3, 4, 5, 6, 2],
    timeDeltas: [900, 200, 30, 40, 50, 60, 900_000],
  };
  try {
    await Bun.write(file, JSON.stringify(profile));
    expect(await jsTime(file, 2000)).toEqual({ publish: 200 + 1500, log: 30, fanOut: 40 + 50 });
  } finally {
    await rm(folder, { recursive: true });
  }
});
