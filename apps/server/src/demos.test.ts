import { expect, test } from "bun:test";
import { unixDate } from "./demos.ts";

test.each([
  ["2020-05-08T13:13:23Z", "Fri May  8 13:13:23 UTC 2020"],
  ["2026-12-31T23:59:59.999Z", "Thu Dec 31 23:59:59 UTC 2026"],
])("%s is printed as date prints it", (time, text) => {
  expect(unixDate(new Date(time))).toBe(text);
});
