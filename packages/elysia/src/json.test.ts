import { expect, test } from "bun:test";
import fc from "fast-check";
import { isShort, parseJson, splitArray } from "./json.ts";
import { inSlices } from "./slices.ts";

/** Longer than what is parsed without a look. */
const PADDING = `"${"x".repeat(20_001)}"`;

const split = async (text: string, most = 1000): Promise<unknown[] | null> => {
  const texts = await inSlices(splitArray(text, most));
  return texts && Promise.all(texts.map((each) => inSlices(parseJson(each))));
};
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return "no JSON";
  }
};

test("an array is split where its elements end, whatever is in them", async () => {
  const space = fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "\r") });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), space, async (values, white) => {
      const text = `${white}[${[PADDING, ...values.map((each) => JSON.stringify(each, null, white.slice(0, 3)))].join(`${white},${white}`)}]${white}`;
      expect(await split(text)).toEqual(JSON.parse(text));
    }),
  );
});

test("what is split and parsed is what JSON.parse takes, and nothing else", async () => {
  const token = fc.constantFrom(
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    "\\",
    '"a"',
    '"a":',
    "1",
    " ",
    '\\"',
    "tru",
    "null",
    PADDING,
  );
  await fc.assert(
    fc.asyncProperty(fc.array(token, { maxLength: 12 }), async (tokens) => {
      const text = `[${PADDING}${tokens.join("")}`;
      expect(await split(text).catch(() => "no JSON")).toEqual(parsed(text) as unknown[]);
    }),
    { numRuns: 2000 },
  );
});

test("an empty array has no elements, and what is no array is not split", async () => {
  const white = " ".repeat(30_000);
  expect(await split(`${white}[${white}]`)).toEqual([]);
  for (const text of [`{${white}}`, `"["${white}`, white, `1${white}`]) expect(await split(text)).toBeNull();
});

test.each<[string, string, number, RegExp]>([
  ["too many elements", `[${"{},".repeat(30_000)}1]`, 413, /more than 1000 events/],
  ["one element too many", `[${PADDING}${",1".repeat(1000)}]`, 413, /more than 1000 events/],
  ["an array that goes on", `[${PADDING}`, 400, /not JSON/],
  ["an array that ends as an object", `[${PADDING}}`, 400, /not JSON/],
  ["something after the array", `[${PADDING}] 1`, 400, /not JSON/],
  ["a comma without an element", `[${PADDING},]`, 400, /not JSON/],
  ["depth", `[${PADDING},${"[".repeat(20_000)}`, 400, /^event 1 is JSON nested more than 10000 deep/],
  ["many arrays", `[1,[${"[],".repeat(20_000)}[]]]`, 413, /^event 1 is JSON of more than 16384 objects/],
  ["many names", `[{${'"":1,'.repeat(20_000)}"":1}]`, 413, /^event 0 is JSON of more than 16384 objects/],
])("refuses %s", async (_, text, status, message) => {
  expect(await split(text).catch((error: unknown) => error)).toMatchObject({
    status,
    message: expect.stringMatching(message),
  });
});

test("counts the parts of each element for itself, and not what is in a string", async () => {
  const half = `[${"[],".repeat(10_000)}[]]`;
  expect(await split(`[${half},${half},"${"[{:".repeat(20_000)}"]`)).toHaveLength(3);
});

test("a text that is not looked through can be neither too deep nor of too many parts", () => {
  for (const unit of ["[", '{"":', "[],", '"":{},', '"":0,']) {
    const most = unit.repeat(20_000 / unit.length);
    expect(isShort(most)).toBe(true);
    expect(most.replaceAll(/[^[{:]/g, "").length).toBeLessThanOrEqual(20_000);
  }
});
