import { describe, expect, test } from "bun:test";
import { headerCursor, queryCursor } from "./last-event-id.ts";
import { lastValue, readQuery } from "./query.ts";

const KNOWN = ["topic", "lastEventId", "replay", "lag", "ticket"];
const header = (...ids: string[]): string => {
  const headers = new Headers();
  for (const id of ids) headers.append("last-event-id", id);
  return headerCursor(new Request("http://localhost/events", { headers }));
};

describe("a parameter that is not known", () => {
  test.each([
    "_=1731412",
    "utm_source=mail&utm_medium=x",
    "datastar=%7B%7D",
    "access_key=secret",
    "v=2",
    "a-name-that-is-longer-than-all-of-them=1",
  ])("is ignored: %s", (text) => {
    expect([...readQuery(`${text}&topic=a&${text}`, KNOWN)]).toEqual([["topic", "a"]]);
  });

  test.each([
    ["topics", "topic"],
    ["topc", "topic"],
    ["Topic", "topic"],
    ["TOPIC", "topic"],
    ["lasteventid", "lastEventId"],
    ["last-event-id", "lastEventId"],
    ["last_event_id", "lastEventId"],
    ["Lag", "lag"],
    ["replya", "replay"],
    ["replays", "replay"],
    ["tickets", "ticket"],
  ])("is refused when it is a known one misspelt: %s", (name, meant) => {
    expect(() => readQuery(`topic=a&${name}=x`, KNOWN)).toThrow(
      `unknown parameter "${name}"; did you mean ${meant}?`,
    );
  });

  test("a name of two letters is not near to every short one", () => {
    expect([...readQuery("_=1&v=2&ts=3&x=4", ["id"])]).toEqual([]);
    expect(() => readQuery("ids=1", ["id"])).toThrow("did you mean id?");
    expect(() => readQuery("ID=1", ["id"])).toThrow("did you mean id?");
  });

  test("is refused when the request has it elsewhere, and would lose it", () => {
    expect(() => readQuery("topic=a&data=x", ["topic"], ["topic", "data"])).toThrow(
      "data is not for the query of this request",
    );
    expect(() => readQuery("dta=x", [], ["data"])).toThrow("did you mean data?");
  });
});

describe("where something comes twice, the last counts", () => {
  test("a parameter", () => {
    const query = readQuery("lag=latest&replay=1&lag=catch-up&replay=2", KNOWN);
    expect([lastValue(query, "lag"), lastValue(query, "replay"), lastValue(query, "ticket")]).toEqual([
      "catch-up",
      "2",
      null,
    ]);
  });

  test("a cursor in the query, and an empty one is none", () => {
    const cursor = (text: string): string => queryCursor(readQuery(text, KNOWN));
    expect(cursor("lastEventId=a-1&lastEventId=a-2")).toBe("a-2");
    expect(cursor("lastEventId=a-1&lastEventId=")).toBe("a-1");
    expect(cursor("topic=a")).toBe("");
  });

  test("a cursor in the header, and an empty one is none", () => {
    expect(header()).toBe("");
    expect(header("a-1")).toBe("a-1");
    expect(header("a-1", "a-2")).toBe("a-2");
    expect(header("a-1", "")).toBe("a-1");
    expect(header("", "a-2")).toBe("a-2");
  });
});
