import { expect, test } from "bun:test";
import fc from "fast-check";
import { OldestFirstMap } from "./oldest-first-map.ts";

test("the oldest is the first that a map has, whatever is added and deleted in which order", () => {
  const key = fc.integer({ min: 0, max: 9 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant("set"), key }),
    fc.record({ kind: fc.constant("delete"), key }),
    fc.constant({ kind: "oldest", key: 0 }),
    fc.constant({ kind: "deleteOldest", key: 0 }),
    { weight: 1, arbitrary: fc.constant({ kind: "clear", key: 0 }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const map = new OldestFirstMap<number, number>();
      steps.forEach(({ kind, key: each }, at) => {
        if (kind === "set") map.set(each, at);
        else if (kind === "delete") map.delete(each);
        else if (kind === "clear") map.clear();
        else {
          const oldest = map.oldest();
          expect(oldest).toEqual([...map][0]);
          if (kind === "deleteOldest" && oldest !== undefined) map.delete(oldest[0]);
        }
      });
      expect(map.oldest()).toEqual([...map][0]);
    }),
    { numRuns: 1000 },
  );
});
