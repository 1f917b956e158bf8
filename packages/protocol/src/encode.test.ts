import { describe, expect, test } from "bun:test";
import { encodeComment, encodeEvent } from "./encode.ts";

describe("encodeEvent", () => {
  test("writes every field, and a blank line", () => {
    expect(encodeEvent({ data: "x", event: "tick", id: "7", retry: 1000 })).toBe(
      "event: tick\nretry: 1000\ndata: x\nid: 7\n\n",
    );
  });

  test("writes id last, so that a client has it only once it has the data", () => {
    expect(encodeEvent({ id: "7", data: "a\nid: 8\n\nb" })).toBe(
      "data: a\ndata: id: 8\ndata: \ndata: b\nid: 7\n\n",
    );
  });

  test("an id may be a number", () => {
    expect(encodeEvent({ id: 0, data: "x" })).toBe("data: x\nid: 0\n\n");
    expect(encodeEvent({ id: -1.5, data: "x" })).toBe("data: x\nid: -1.5\n\n");
    for (const id of [Number.NaN, Infinity, -Infinity]) {
      expect(() => encodeEvent({ id, data: "x" })).toThrow(
        `id must be a string or a finite number; got ${id}`,
      );
    }
  });

  test("null means absent, as undefined does", () => {
    expect(encodeEvent({ event: null, id: null, retry: null, data: "x" })).toBe("data: x\n\n");
    expect(encodeEvent({ event: undefined, id: undefined, retry: undefined, data: "x" })).toBe("data: x\n\n");
    expect(encodeEvent({ id: "7", data: null })).toBe("id: 7\n\n");
  });

  test("splits data at CRLF, LF and CR", () => {
    expect(encodeEvent({ data: "a\r\nb\nc\rd\n" })).toBe("data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    expect(encodeEvent({ data: "a\nb\n\nc" })).toBe("data: a\ndata: b\ndata: \ndata: c\n\n");
  });

  test("keeps what a replacement string would expand", () => {
    expect(encodeEvent({ data: "$&\n$1\r$$" })).toBe("data: $&\ndata: $1\ndata: $$\n\n");
  });

  test("an empty event is left out, an empty id is written", () => {
    expect(encodeEvent({ event: "", id: "", data: "" })).toBe("data: \nid: \n\n");
  });

  test("data may be missing", () => {
    expect(encodeEvent({ retry: 0 })).toBe("retry: 0\n\n");
    expect(encodeEvent({ id: "5" })).toBe("id: 5\n\n");
  });

  for (const [name, injected] of Object.entries({ CR: "\r", LF: "\n", CRLF: "\r\n", NUL: "\0" })) {
    test(`refuses ${name} in event and id`, () => {
      for (const value of [injected, `a${injected}`, `${injected}data: pwned`, `a${injected}b`]) {
        expect(() => encodeEvent({ event: value, data: "x" })).toThrow(
          /^event must not contain CR, LF or NUL/,
        );
        expect(() => encodeEvent({ id: value, data: "x" })).toThrow(/^id must not contain CR, LF or NUL/);
      }
    });
  }

  test.each([-1, 1.5, 1e21, Number.NaN, Infinity, -Infinity, "3"])("refuses retry %p", (retry) => {
    const encode = () => encodeEvent({ retry: retry as number, data: "x" });
    expect(encode).toThrow(TypeError);
    expect(encode).toThrow(/^retry must be/);
  });

  test("refuses values that are no strings, which could carry line ends past the check", () => {
    const smuggled = ["a\nevent: pwned"] as unknown as string;
    for (const field of ["event", "id", "data"]) {
      expect(() => encodeEvent({ [field]: smuggled })).toThrow(`${field} must be a string`);
      expect(() => encodeEvent({ [field]: true as unknown as string })).toThrow(TypeError);
      if (field !== "id") expect(() => encodeEvent({ [field]: 5 as unknown as string })).toThrow(TypeError);
    }
  });
});

describe("encodeComment", () => {
  test("is one line per line of text and ends with one line end", () => {
    expect(encodeComment("a\r\nb\rc\nd")).toBe(": a\n: b\n: c\n: d\n");
  });

  test("without text is the shortest heartbeat", () => {
    expect(encodeComment()).toBe(":\n");
    expect(encodeComment("")).toBe(":\n");
  });

  test("cannot end or begin an event", () => {
    expect(encodeComment("\n\ndata: pwned\n\n")).toBe(": \n: \n: data: pwned\n: \n: \n");
  });
});
