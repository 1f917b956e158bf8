import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseTopic, SelectorSet } from "./topic.ts";

describe("topics", () => {
  test.each([
    "a",
    "orders/42",
    "https://example.com/books/1?x=y#z",
    "/",
    "a//b",
    "é/日本/😀",
    "x".repeat(1024),
  ])("%p is a topic", (text) => {
    expect(parseTopic(text) as string).toBe(text);
  });

  test.each([
    ["", "is empty"],
    ["a b", "a space"],
    ["a\u00a0b", "a space"],
    ["a\u200bb", "does not print"],
    ["a\nb", "does not print"],
    ["a\0", "does not print"],
    ["\ud800", "does not print"],
    ["x".repeat(1025), "longer than 1024 bytes"],
    ["é".repeat(513), "longer than 1024 bytes"],
    ["orders/*", "is a pattern"],
    [42, "must be a string"],
    [null, "must be a string"],
  ])("%p is none: %s", (text, message) => {
    expect(() => parseTopic(text)).toThrow(message);
  });
});

describe("selectors", () => {
  test.each([
    [["a"], ["a"], ["b", "a/b"]],
    [["*"], ["a", "b"], ["a/b"]],
    [["a/*/c"], ["a/b/c", "a//c"], ["a/c", "a/b/d", "a/b/c/d"]],
    [["a/**"], ["a/b", "a/b/c", "a/"], ["a", "b/a"]],
    [["**"], ["a", "a/b/c"], []],
    [
      ["a", "b/*"],
      ["a", "b/x"],
      ["b", "a/x"],
    ],
  ])("%p", (selectors, matching, others) => {
    const set = new SelectorSet(selectors);
    for (const topic of matching) expect(set.matches(parseTopic(topic))).toBeTrue();
    for (const topic of others) expect(set.matches(parseTopic(topic))).toBeFalse();
  });

  test.each([["a*"], ["a/b*/c"], ["**/a"], ["a/**/b"], ["a b"], [""], ["***"]])(
    "%p is refused",
    (selector) => {
      expect(() => new SelectorSet([selector])).toThrow(/topic/);
    },
  );

  test("no selector at all is refused", () => {
    expect(() => new SelectorSet([])).toThrow("at least one topic");
  });

  test("sets that ask for the same have the same key", () => {
    expect(new SelectorSet(["b", "a/*", "b"]).key).toBe(new SelectorSet(["a/*", "b"]).key);
    expect(new SelectorSet(["a"]).key).not.toBe(new SelectorSet(["a/*"]).key);
  });

  test("every topic is matched by itself and by **", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-c]{0,2}$/), { minLength: 1, maxLength: 4 }), (segments) => {
        fc.pre(segments.join("/") !== "");
        const topic = parseTopic(segments.join("/"));
        expect(new SelectorSet([topic]).matches(topic)).toBeTrue();
        expect(new SelectorSet(["**"]).matches(topic)).toBeTrue();
        expect(new SelectorSet([segments.map(() => "*").join("/")]).matches(topic)).toBeTrue();
      }),
    );
  });
});
