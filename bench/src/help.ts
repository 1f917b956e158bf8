import { ENDPOINT_DEFAULTS } from "./options.ts";
import { SCENARIOS } from "./scenarios/list.ts";

const { streams, duration, rate, payloadBytes, finishWithin } = ENDPOINT_DEFAULTS;

const OPTIONS: readonly (readonly [string, string])[] = [
  ["--streams N", "how many streams"],
  ["--duration TIME", "how long there is load, as 500ms, 30s or 2m"],
  ["--rate N", "events a second, where publishing is an open loop"],
  ["--payload N", "bytes of data in an event"],
  ["--processes N", "processes of the generator; default one core less than there are, at most 4"],
  ["--json", "all that was measured, as JSON"],
];

const ENDPOINT: readonly (readonly [string, string])[] = [
  ["--url URL", `the endpoint; ${streams} streams for ${duration / 1000}s unless told otherwise`],
  ["--header 'k: v'", "a header field of the streams' requests; repeatable"],
  [
    "--publish URL",
    `publish there with POST, ${rate} events a second of ${payloadBytes} bytes, and count every delivery`,
  ],
  ["--publish-header 'k: v'", "a header field of the publish requests; default content-type: text/plain"],
  ["--publish-body TEXT", "the body, with {data} where the data goes; default {data}"],
  [
    "--finish-within TIME",
    `how long nothing may come before what is missing counts as lost; default ${finishWithin / 1000}s`,
  ],
  ["--insecure", "take any certificate"],
];

const SCENARIO: readonly (readonly [string, string])[] = [
  ["--peer NAME", "the server to run against; repeatable, the first is the baseline; default hub"],
  ["--all-peers", "all servers that can run here"],
  ["--rounds N", "how often each is run, in fresh processes; default 1"],
  ["--events N", "how many events, in scenarios that publish a number"],
  ["--peers", "list the servers, and why some cannot run here"],
];

function rows(entries: readonly (readonly [string, string])[]): string {
  return entries.map(([left, right]) => `  ${left.padEnd(26)}${right}`).join("\n");
}

/** The text of `--help`. */
export function help(): string {
  const list = SCENARIOS.map(({ name, question }) => [name, question] as const);
  return `A load generator for Server-Sent Events.

  bun run bench --url http://127.0.0.1:3000/events?topic=x --streams 5000 --duration 30s
  bun run bench --url URL --publish 'http://127.0.0.1:3000/publish?topic=x' --rate 100
  bun run bench SCENARIO [options]
  bun run bench report [--render-only]

Any endpoint
${rows(ENDPOINT)}

Scenarios, each against a fresh process of a server on this machine
${rows([...list, ["codec", "How fast are encoder and decoder beside their peers?"], ["report", "run what docs/benchmarks.md shows, and write it; --render-only writes it from kept results"]])}

Options of scenarios
${rows(SCENARIO)}

Options of both
${rows(OPTIONS)}

Exit code: 0; 1 when events were lost, duplicated or out of order, or streams could not be held; 2 when it could not run.
`;
}
