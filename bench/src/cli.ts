import { compare, peersNamed, stopPeers } from "./compare.ts";
import { codecTables, compareCodec } from "./codec/compare.ts";
import { describe, runEndpoint } from "./endpoint.ts";
import { help } from "./help.ts";
import { type Command, readCommand } from "./options.ts";
import { PEERS } from "./peers/peers.ts";
import type { Peer } from "./peers/peer.ts";
import { Progress } from "./progress.ts";
import { render } from "./report/render.ts";
import { measureForReport } from "./report/measure.ts";
import { faultyRuns, tables, wrongWith } from "./result.ts";
import { SCENARIOS } from "./scenarios/list.ts";
import { BenchError } from "./target.ts";

const OK = 0;
const WRONG = 1;
const COULD_NOT_RUN = 2;

const progress = new Progress();

// A server that is left behind would take part of the machine from the next run.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    progress.clear();
    void stopPeers().then(() => process.exit(code));
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printResult(json: boolean, result: object, text: string): void {
  print(json ? JSON.stringify(result, undefined, 2) : text);
}

async function listPeers(): Promise<void> {
  for (const peer of PEERS) {
    const reason = await peer.prepare();
    print(
      `${peer.name.padEnd(12)} ${peer.about}${reason === null ? "" : `\n${" ".repeat(13)}left out here: ${reason}`}`,
    );
  }
}

function peersOf({ peers, allPeers }: { peers: readonly string[]; allPeers: boolean }): readonly Peer[] {
  if (peers.length > 0) return peersNamed(peers);
  return allPeers ? PEERS : peersNamed(["hub"]);
}

async function run(command: Command): Promise<number> {
  switch (command.kind) {
    case "help":
      process.stdout.write(help());
      return OK;
    case "peers":
      await listPeers();
      return OK;
    case "endpoint": {
      const result = await runEndpoint(command.endpoint, progress);
      printResult(command.json, result, describe(result, command.endpoint));
      return wrongWith(result) === "" ? OK : WRONG;
    }
    case "report": {
      const wrong = command.renderOnly ? [] : await measureForReport(command, progress);
      for (const line of wrong) print(line);
      for (const file of await render()) print(`wrote ${file}`);
      return wrong.length === 0 ? OK : WRONG;
    }
    default: {
      if (command.scenario === "codec") {
        const result = await compareCodec(command.rounds, progress);
        printResult(command.json, result, codecTables(result));
        return OK;
      }
      const scenario = SCENARIOS.find(({ name }) => name === command.scenario)!;
      const { settings, rounds } = command;
      const result = await compare(scenario, {
        settings,
        rounds: rounds ?? 1,
        peers: peersOf(command),
        progress,
      });
      printResult(command.json, result, tables(scenario, result));
      return faultyRuns(result).length === 0 ? OK : WRONG;
    }
  }
}

try {
  process.exitCode = await run(readCommand(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  progress.clear();
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = COULD_NOT_RUN;
}
