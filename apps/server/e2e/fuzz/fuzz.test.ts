import { expect, test } from "bun:test";
import { Campaign, drawCase, PROTOCOLS } from "./campaign.ts";
import type { Exchange } from "./case.ts";
import { statusOf } from "./http2-answers.ts";
import { Oracle } from "./oracle.ts";
import { type Asked, drawRequest } from "./requests.ts";
import { Random } from "@sse/hub/test/random.ts";
import type { Answer } from "./wire.ts";

/* That the fuzzer would see what it looks for. */

const MARKER = "~m1-0.0~";
const asked = (more: Partial<Asked>): Asked => ({
  ...drawRequest(new Random(1), "1-0", 0),
  publication: { marker: MARKER, events: 2 },
  verdict: "taken",
  ...more,
});
const answer = (status: number, body = "", headers: Record<string, string> = {}): Answer => ({
  status,
  body,
  headers: new Map(Object.entries(headers)),
  isWhole: true,
});

/** What is found wrong with an exchange after which so many events came. */
function judge(
  trust: Exchange["trust"],
  answers: Answer[],
  events: number,
  request = asked({}),
  isTimeout = false,
): string[] {
  const oracle = new Oracle();
  oracle.answered({ asked: [request], trust, what: "" }, answers, { isTimeout, isClosed: true });
  for (let at = 0; at < events; at++) oracle.published("message", MARKER);
  oracle.settle(false);
  return oracle.violations.map(({ check }) => check);
}

test.each<[string, string[], string[]]>([
  ["all is well", judge("whole", [answer(200)], 2), []],
  ["an event that was acknowledged is missing", judge("whole", [answer(200)], 1), ["published"]],
  ["an event comes twice", judge("whole", [answer(200)], 3), ["published"]],
  [
    "an event that was refused comes",
    judge("whole", [answer(429, "", { "retry-after": "1" })], 2),
    ["published"],
  ],
  ["a body that was cut off is published", judge("cut off", [], 2), ["published"]],
  ["what was mutated and refused is published", judge("mutated", [answer(400)], 1), ["published"]],
  ["what was mutated may mean anything", judge("mutated", [answer(200)], 2), []],
  ["a part of what nobody knows of comes", judge("mutated", [], 1), ["published"]],
  ["what is right is refused", judge("whole", [answer(400)], 0), ["verdict"]],
  ["what is wrong is taken", judge("whole", [answer(200)], 2, asked({ verdict: "refused" })), ["verdict"]],
  ["an internal error", judge("mutated", [answer(500)], 0), ["answer"]],
  ["a header from nowhere", judge("mutated", [answer(200, "", { "x-injected": "1" })], 0), ["answer"]],
  ["events that the token does not cover", judge("mutated", [answer(200, "data: ~s1-1.0~")], 0), ["answer"]],
  ["no answer", judge("whole", [], 0, asked({}), true), ["hang"]],
])("%s", (_, found, expected) => expect(found).toEqual(expected));

test.each(PROTOCOLS)("a seed of HTTP/%s means the same each time", (protocol) => {
  const drawn = (seed: number): string =>
    JSON.stringify(drawCase(protocol, seed, 0).exchanges.map(({ what, trust }) => [what, trust]));
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
  expect(seeds.map(drawn)).toEqual(seeds.map(drawn));
  expect(new Set(seeds.map(drawn)).size).toBeGreaterThan(4);
});

test("statuses of HTTP/2 are read, packed in any way", () => {
  const packed = ["88", "2088", "0803343135", "4883682dff", "48836c0cff", "48821001"].map((hex) =>
    statusOf(Buffer.from(hex, "hex")),
  );
  expect(packed).toEqual([200, 200, 415, 415, 503, 200]);
});

test.each(PROTOCOLS)("some connections of HTTP/%s, and nothing is wrong", async (protocol) => {
  await using campaign = await Campaign.start(protocol);
  const seeds = Array.from({ length: 60 }, (_, at) => at + 1);
  expect(await campaign.round(seeds.values(), () => false)).toEqual([]);
  expect(campaign.oracle.accepted).toBeGreaterThan(5);
});
