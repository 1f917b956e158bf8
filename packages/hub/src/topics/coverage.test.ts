import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { firstUncovered } from "./coverage.ts";
import { parseTopic, SelectorSet, type Topic } from "./topic.ts";

const uncovered = (granted: string[], requested: string[]): string | null =>
  firstUncovered(new SelectorSet(granted), new SelectorSet(requested));

test.each([
  [["orders/*"], ["orders/42"], null],
  [["orders/*"], ["orders/*"], null],
  [["**"], ["a", "a/*", "a/**", "**"], null],
  [["*/**"], ["a/**"], null],
  [["a/*", "a/*/**"], ["a/**"], null],
  [["a/*", "a/*/*", "a/*/*/**"], ["a/**"], null],
  [["a", "b"], ["a", "b"], null],
  [["orders/*"], ["orders"], "orders"],
  [["orders/*"], ["orders/42/items"], "orders/42/items"],
  [["orders/*"], ["orders/42", "orders/**"], "orders/**"],
  [["orders/**"], ["orders"], "orders"],
  [["a/*", "a/*/*/**"], ["a/**"], "a/**"],
  [["a/b"], ["a/*"], "a/*"],
  [["a/**"], ["*/**"], "*/**"],
  [["*"], ["**"], "**"],
  [["a/*/c"], ["a/*/*"], "a/*/*"],
  [["Orders/*"], ["orders/1"], "orders/1"],
  [["a/b"], ["a//b"], "a//b"],
  [["a/*"], ["a/%2e%2e/b"], "a/%2e%2e/b"],
  [["a/*"], ["b/../a/x"], "b/../a/x"],
])("%j granted, %j requested: %p is too much", (granted, requested, expected) => {
  expect(uncovered(granted, requested)).toBe(expected);
});

describe("with any selectors", () => {
  const segment = fc.constantFrom("a", "b", "");
  const selector = fc
    .tuple(fc.array(fc.oneof(segment, fc.constant("*")), { maxLength: 3 }), fc.boolean())
    .map(([segments, rest]) => [...segments, ...(rest ? ["**"] : [])].join("/"))
    .filter((text) => text !== "");
  const selectors = fc.array(selector, { minLength: 1, maxLength: 5 });
  /** Topics of up to six segments, of which "c" stands for all that no selector names. */
  const topics: Topic[] = [];
  const grow = (prefix: string[]): void => {
    const text = prefix.join("/");
    if (text !== "") topics.push(parseTopic(text));
    if (prefix.length < 6) for (const next of ["a", "b", "c", ""]) grow([...prefix, next]);
  };
  grow([]);
  const distinct = [...new Set(topics)];

  test("what is covered selects nothing that is not granted, and what is not selects something", () => {
    fc.assert(
      fc.property(selectors, selector, (granted, requested) => {
        const [claim, wanted] = [new SelectorSet(granted), new SelectorSet([requested])];
        const selected = distinct.filter((topic) => wanted.matches(topic));
        expect(firstUncovered(claim, wanted)).toBe(
          selected.every((topic) => claim.matches(topic)) ? null : requested,
        );
      }),
      { numRuns: 300 },
    );
  });
});
