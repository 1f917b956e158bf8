import { expect, test } from "bun:test";
import { logUrlFault, logUrlParts } from "./log-url.ts";

test.each([
  "memory:",
  "sqlite:./data/events.db",
  "redis://host",
  "redis://host:6379/2?prefix=a",
  "rediss://user:p%40ss@host:6380",
  "redis://[::1]:6379",
  "redis://host?wait_replicas=1&wait_timeout=500",
  "redis+sentinel://a:26379,b,[::1]:26379/mymaster",
  "rediss+sentinel://user:p%40ss@a,b/my.master-1/2?sentinel_username=u&sentinel_password=p&prefix=x",
  "redis+cluster://a:7000,b:7001,c?prefix=a",
  "rediss+cluster://user:p%40ss@a",
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
  ["nats://host/2", "has a path; with nats:"],
  ["redis://user:sec@ret@host", "%40 for @"],
  ["redis://user:sec/ret@host", "%2F for /"],
  ["redis://a,b", "names several hosts"],
  ["redis+sentinel://a,b", "does not say what the sentinels call the primary"],
  ["redis+sentinel://a,,b/primary", "names no host"],
  ["redis+sentinel://a/pri mary", "has a primary that is not"],
  ["redis+sentinel://a/primary/x", "has a database that is not"],
  ["redis+cluster://a/1", "has a path; with redis+cluster:"],
  ["redis://a?sentinel_password=x", "unknown parameter; redis: takes prefix and wait_replicas"],
  ["redis://a?wait_replicas=two", "has wait_replicas that are not"],
  ["redis://a?wait_timeout=4001", "has a wait_timeout that is not"],
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

test("the parts of a url", () => {
  const url =
    "redis+sentinel://me:secret@a,b:1/primary/2?sentinel_username=you&sentinel_password=secret&prefix=x";
  const { params, ...parts } = logUrlParts(url)!;
  expect(parts).toEqual({
    protocol: "redis+sentinel:",
    host: "a,b:1",
    url: "redis+sentinel://me:secret@a,b:1/primary/2",
  });
  expect(params.get("sentinel_password")).toBe("secret");
});
