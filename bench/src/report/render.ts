import type { CodecResult } from "../codec/compare.ts";
import { PEERS } from "../peers/peers.ts";
import type { Result } from "../result.ts";
import { SCENARIOS } from "../scenarios/list.ts";
import { BenchError } from "../target.ts";
import { chart, THEMES } from "./chart.ts";
import { FOLDER, formatFiles, PAGE, resultFile } from "./files.ts";
import { type Kept, page } from "./page.ts";

/** Writes the page and its charts from the kept measurements; answers which files. @throws BenchError when there are none */
export async function render(): Promise<string[]> {
  const results: Kept["results"][number][] = [];
  for (const scenario of SCENARIOS) {
    const result = await kept<Result>(scenario.name);
    if (result !== null) results.push({ scenario, result });
  }
  const codec = await kept<CodecResult>("codec");
  if (results.length === 0 && codec === null) {
    throw new BenchError(`there are no results in ${FOLDER}/results; run bun run bench report first`);
  }
  const files = [PAGE];
  await Bun.write(PAGE, page({ results, codec, peers: PEERS }));
  await formatFiles([PAGE]);
  for (const { scenario, result } of results) {
    for (const [name, theme] of Object.entries(THEMES)) {
      const file = `${FOLDER}/${scenario.name}-${name}.svg`;
      await Bun.write(file, chart(scenario, result, theme));
      files.push(file);
    }
  }
  return files;
}

async function kept<Content>(scenario: string): Promise<Content | null> {
  const file = Bun.file(resultFile(scenario));
  return (await file.exists()) ? ((await file.json()) as Content) : null;
}
