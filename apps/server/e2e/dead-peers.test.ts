import { expect, test } from "bun:test";
import { connect } from "node:net";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

/* Peers that vanish without a word. One that really does needs a network of its own, whose cable can be pulled. */

const REQUEST = "GET /events?topic=t HTTP/1.1\\r\\nhost: 10.99.0.1\\r\\n\\r\\n";
const CABLE = [
  "link add here type veth peer name there netns PEER",
  "addr add 10.99.0.1/24 dev here",
  "link set here up",
];

const hasNetworks =
  Bun.which("unshare") !== null &&
  Bun.which("ip") !== null &&
  Bun.spawnSync(["unshare", "--net", "true"], { stderr: "ignore" }).exitCode === 0;

async function run(command: readonly string[]): Promise<void> {
  const process = Bun.spawn([...command], { stdout: "ignore", stderr: "pipe" });
  if ((await process.exited) !== 0) throw new Error(`${command.join(" ")}: ${await process.stderr.text()}`);
}

const inNetworkOf = (pid: number, ...command: string[]): string[] => [
  "nsenter",
  "--target",
  String(pid),
  "--net",
  ...command,
];

test.skipIf(!hasNetworks).each([
  ["that is sent heartbeats", "500ms"],
  ["on which nothing is sent", "off"],
])("a stream %s ends when its peer is cut off the network", async (_, heartbeat) => {
  const flags = `--host 0.0.0.0 --open --log-level debug --write-deadline 2s --peer-timeout 2s --heartbeat ${heartbeat}`;
  await using server = await ServerProcess.startUnder(["unshare", "--net"], ...flags.split(" "));
  const peer = Bun.spawn(["unshare", "--net", "sleep", "600"]);
  let reader: Bun.Subprocess | undefined;
  try {
    const ours = await Bun.file("/proc/self/ns/net").exists();
    expect(ours).toBe(true);
    const network = async (pid: number): Promise<string> =>
      (await Bun.$`readlink /proc/${pid}/ns/net`.text()).trim();
    const own = await network(process.pid);
    await until(async () => (await network(peer.pid)) !== own);
    for (const step of CABLE) {
      await run(inNetworkOf(server.process.pid, "ip", ...step.replace("PEER", String(peer.pid)).split(" ")));
    }
    await run(inNetworkOf(peer.pid, "ip", "addr", "add", "10.99.0.2/24", "dev", "there"));
    await run(inNetworkOf(peer.pid, "ip", "link", "set", "there", "up"));
    const script = `exec 3<>/dev/tcp/10.99.0.1/${server.port}; printf '${REQUEST}' >&3; exec cat <&3`;
    reader = Bun.spawn(inNetworkOf(peer.pid, "bash", "-c", script), { stdout: "pipe" });
    const { value } = await (reader.stdout as ReadableStream<Uint8Array>).getReader().read();
    expect(new TextDecoder().decode(value)).toContain("200 OK");
    const closed = (): boolean => server.lines.some((line) => line.includes("stream closed"));
    await Bun.sleep(2500); // a peer that is there, and quiet, is left alone
    expect(closed()).toBe(false);
    await run(inNetworkOf(peer.pid, "ip", "link", "set", "there", "down"));
    await until(closed);
    expect(server.lines.some((line) => line.includes('"reason":"client"'))).toBe(true);
  } finally {
    reader?.kill("SIGKILL");
    peer.kill("SIGKILL");
  }
});

test("a connection whose window stays shut is dropped, when no deadline for writes has done so before", async () => {
  await using server = await ServerProcess.start(
    ..."--write-deadline off --peer-timeout 2s --log-level debug".split(" "),
  );
  const socket = connect(server.port, "127.0.0.1", () => {
    socket.write("GET /events?topic=t HTTP/1.1\r\nhost: localhost\r\n\r\n");
  });
  socket.on("error", () => {});
  await new Promise<void>((resolve) => {
    socket.once("data", () => {
      socket.pause();
      resolve();
    });
  });
  const data = "x".repeat(1_000_000);
  for (let at = 0; at < 12; at++) await publish(server.url, { topic: "t", data });
  await until(() => server.lines.some((line) => line.includes("stream closed")));
  expect(server.lines.some((line) => line.includes('"reason":"client"'))).toBe(true);
  socket.destroy();
});
