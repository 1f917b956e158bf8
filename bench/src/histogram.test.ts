import { expect, test } from "bun:test";
import { createHistogram, merged, packed, percentiles, record } from "./histogram.ts";

test("histograms of several processes make one", () => {
  const all = createHistogram();
  const parts = [createHistogram(), createHistogram(), createHistogram()];
  for (let value = 1; value <= 30_000; value++) {
    record(all, value);
    record(parts[value % 3]!, value);
  }
  const sum = merged(parts.map(packed));
  expect(sum.totalCount).toBe(30_000);
  expect(percentiles(sum)).toEqual(percentiles(all));
  expect(percentiles(sum).p50! / 15).toBeCloseTo(1, 2);
  expect(percentiles(sum).max! / 30).toBeCloseTo(1, 2);
});

test("nothing recorded is nothing, not zero", () => {
  expect(percentiles(merged([packed(createHistogram())]))).toEqual({
    p50: null,
    p90: null,
    p99: null,
    p999: null,
    max: null,
  });
});

test("whatever a clock makes of a short time can be recorded", () => {
  const histogram = createHistogram();
  for (const value of [-3, 0, 0.4, 1e12]) record(histogram, value);
  expect(histogram.totalCount).toBe(4);
});
