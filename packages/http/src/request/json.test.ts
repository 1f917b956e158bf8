import { expect, test } from "bun:test";
import fc from "fast-check";
import { isShort, parseArray, startOfArray } from "./json.ts";

/** Longer than what is parsed without a look. */
const PADDING = `"${"x".repeat(20_001)}"`;

/** Elements of an array, and in how many parts they were parsed; null for what is no array. */
const inParts = (text: string): { values: unknown[]; parts: number } | null => {
  const start = startOfArray(text);
  if (start === null) return null;
  const values: unknown[] = [];
  let parts = 0;
  for (const part of parseArray(text, start)) {
    if (part === undefined) continue;
    expect(part.first).toBe(values.length);
    values.push(...part.values);
    parts++;
  }
  return { values, parts };
};
const split = (text: string): unknown[] | null => inParts(text)?.values ?? null;
/** What JSON.parse says, or what a refusal of it is here. */
const attempt = <T>(parse: () => T): T | string => {
  try {
    return parse();
  } catch {
    return "no JSON";
  }
};
test("an array is split where its elements end, whatever is in them", () => {
  const space = fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "\r") });
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), space, (values, white) => {
      const text = `${white}[${[PADDING, ...values.map((each) => JSON.stringify(each, null, white.slice(0, 3)))].join(`${white},${white}`)}]${white}`;
      expect(split(text)).toEqual(JSON.parse(text));
    }),
  );
});

test("small objects are parsed many at once, unless the end of a part is not seen", () => {
  const filler = "x".repeat(300);
  const forms: [value: object, least: number, most: number][] = [
    [{ topic: "t", data: filler }, 25, 35],
    [{ topic: "t", data: `"},{"${filler}` }, 25, 3000],
    [{ topic: "t", data: [{ a: 1 }, { b: filler }] }, 25, 3000],
    [{ data: [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}].map((each) => [each, filler, each]) }, 25, 3000],
  ];
  for (const [value, least, most] of forms) {
    for (const space of [0, 1]) {
      const values = Array.from({ length: 3000 }, () => value);
      const found = inParts(JSON.stringify(values, null, space))!;
      expect(found.values).toEqual(values);
      expect(found.parts).toBeGreaterThanOrEqual(least);
      expect(found.parts).toBeLessThanOrEqual(most);
    }
  }
});

test("what is split and parsed is what JSON.parse takes, and nothing else", () => {
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
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
      const text = `[${PADDING}${tokens.join("")}`;
      expect(attempt(() => split(text))).toEqual(attempt(() => JSON.parse(text) as unknown[]));
    }),
    { numRuns: 2000 },
  );
});

test("an empty array has no elements, and what is no array is not split", () => {
  const white = " ".repeat(30_000);
  expect(split(`${white}[${white}]`)).toEqual([]);
  for (const text of [`{${white}}`, `"["${white}`, white, `1${white}`]) expect(split(text)).toBeNull();
});

test.each<[string, string, number, RegExp]>([
  ["an array that goes on", `[${PADDING}`, 400, /not JSON/],
  ["an array that ends as an object", `[${PADDING}}`, 400, /not JSON/],
  ["something after the array", `[${PADDING}] 1`, 400, /not JSON/],
  ["a comma without an element", `[${PADDING},]`, 400, /not JSON/],
  ["depth", `[${PADDING},${"[".repeat(20_000)}`, 400, /^event 1 is JSON nested more than 10000 deep/],
  ["many arrays", `[1,[${"[],".repeat(20_000)}[]]]`, 413, /^event 1 is JSON of more than 16384 objects/],
  [
    "depth, though it ends",
    `[{},${"[".repeat(10_001)}${"]".repeat(10_001)},${PADDING}]`,
    400,
    /^event 1 is JSON nested/,
  ],
  [
    "depth of objects",
    `[{},${'{"":'.repeat(10_001)}1${"}".repeat(10_001)},${PADDING}]`,
    413,
    /^event 1 is JSON of more than 16384/,
  ],
  [
    "many objects",
    `[{},[${'{"":{}},'.repeat(8200)}1],${PADDING}]`,
    413,
    /^event 1 is JSON of more than 16384 objects/,
  ],
  [
    "many strings",
    `[{},["",${'"a",'.repeat(131_072)}1]]`,
    413,
    /^event 1 is JSON of more than 131072 strings/,
  ],
  ["many names", `[{${'"":1,'.repeat(20_000)}"":1}]`, 413, /^event 0 is JSON of more than 16384 objects/],
])("refuses %s", (_, text, status, message) => {
  expect(() => split(text)).toThrow(
    expect.objectContaining({ status, message: expect.stringMatching(message) }),
  );
});

test("counts the parts of each element for itself, and not what is in a string", () => {
  const half = `[${"[],".repeat(10_000)}${'"",'.repeat(100_000)}[]]`;
  expect(split(`[${half},${half},"${"[{:".repeat(20_000)}"]`)).toHaveLength(3);
});

test("a text that is not looked through can be neither too deep nor of too many parts", () => {
  for (const unit of ["[", '{"":', "[],", '"":{},', '"":0,']) {
    const most = unit.repeat(20_000 / unit.length);
    expect(isShort(most)).toBe(true);
    expect(most.replaceAll(/[^[{:]/g, "").length).toBeLessThanOrEqual(20_000);
  }
});
