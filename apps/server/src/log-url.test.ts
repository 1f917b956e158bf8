import { expect, test } from "bun:test";
import { logUrlFault } from "./log-url.ts";

test.each([
  "memory:",
  "sqlite:./data/events.db",
  "redis://host",
  "redis://host:6379/2?prefix=a",
  "rediss://user:p%40ss@host:6380",
  "redis://[::1]:6379",
  "nats://token@a:4222,b:4222,c?replicas=3&prefix=x-y",
])("%s names a log", (url) => {
  expect(logUrlFault(url)).toBeNull();
});

test.each([
  ["", "must be sqlite:PATH or memory:, or"],
  ["events.db", "must be sqlite:PATH or memory:, or"],
  ["postgres://host", "must be sqlite:PATH or memory:, or"],
  ["sqlite:", "names no file"],
  ["memory:x", "takes nothing after memory:"],
  ["redis:host", "needs // after redis:"],
  ["redis://", "names no host"],
  ["redis://user:secret@", "names no host"],
  ["redis://:6379", "names no host"],
  ["nats://a,,c", "names no host"],
  ["redis://ho st", "has a host that cannot be one"],
  ["redis://host:", "has a port that is not"],
  ["redis://host:x", "has a port that is not"],
  ["nats://a:4222,b:70000", "has a port that is not"],
  ["redis://host/two", "has a database that is not"],
  ["nats://host/2", "has a path; in NATS"],
  ["redis://user:sec@ret@host", "%40 for @"],
  ["redis://user:sec/ret@host", "%2F for /"],
  ["redis://:sec%zzret@host", "write %25"],
  ["sqlite:redis://user:secret@host", "and no URL"],
  ["redis://host#x", "part after #"],
  ["redis://host?prefx=a", "unknown parameter; redis: takes prefix"],
  ["redis://host?prefix=a%20b", "has a prefix that is not"],
  ["nats://host?replicas=6", "replicas that are not"],
])("%j is refused, with what is wrong and without secrets", (url, fault) => {
  expect(logUrlFault(url)).toContain(fault);
  expect(logUrlFault(url)).not.toMatch(/sec|ret/);
});
