import { describe, expect, test } from "bun:test";
import * as ioredis from "ioredis";
import { type RedisTarget, sourceOf } from "./target.ts";

describe("where Redis is", () => {
  test.each<[url: string, name: string, options: object]>([
    ["redis://host", "Redis at host:6379", { host: "host", port: 6379, db: 0 }],
    [
      "rediss://me:p%40ss@[::1]:6380/2",
      "Redis at ::1:6380",
      { host: "::1", port: 6380, db: 2, username: "me", password: "p@ss", tls: {} },
    ],
    ["redis://:secret@host:1", "Redis at host:1", { username: null, password: "secret" }],
    [
      "redis+sentinel://:secret@a,b:1/primary/3",
      "Redis primary primary of a:26379,b:1",
      {
        sentinels: [
          { host: "a", port: 26_379 },
          { host: "b", port: 1 },
        ],
        name: "primary",
        password: "secret",
        db: 3,
      },
    ],
    [
      "rediss+sentinel://a/p",
      "Redis primary p of a:26379",
      { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true },
    ],
  ])("%s", (url, name, options) => {
    const source = sourceOf(ioredis, { url });
    expect(source.name).toBe(name);
    const client = source.client() as ioredis.Redis;
    expect(client.options).toMatchObject(options);
    expect(client.status).toBe("wait");
  });

  test("a url of a Cluster, with more options", () => {
    const source = sourceOf(ioredis, {
      url: "redis+cluster://:secret@a,b:1",
      redis: { connectionName: "log" },
    });
    expect(source.name).toBe("Redis Cluster at a:6379,b:1");
    const { options, status } = source.client() as ioredis.Cluster;
    expect(options.redisOptions).toMatchObject({ password: "secret", connectionName: "log" });
    expect(status).toBe("wait");
  });

  test("a client of the user's, or what makes one", () => {
    const client = new ioredis.Redis({ host: "host", port: 1, password: "secret", lazyConnect: true });
    for (const each of [client, () => client]) {
      const source = sourceOf(ioredis, { client: each });
      expect(source).toMatchObject({ name: "Redis at host:1" });
      expect(source.client()).toBe(client);
    }
  });

  test.each<[RedisTarget, string]>([
    [{}, "takes one of url, client, sentinels and cluster; this is none of them"],
    [{ url: "redis://:secret@a", cluster: [{ host: "b" }] }, "this is url and cluster"],
    [{ sentinels: [{ host: "a" }] }, "sentinels need the name"],
    [{ url: "http://:secret@host" }, "url must be as redis://host:6379"],
    [{ url: "redis://user:secret@a@b" }, "url must be as redis://host:6379"],
    [{ url: "redis+sentinel://:secret@a" }, "sentinels need the name"],
  ])("%j is refused without what is secret in it", (target, words) => {
    const refused = (): unknown => sourceOf(ioredis, target);
    expect(refused).toThrow(RangeError);
    expect(refused).toThrow(words);
    expect(refused).not.toThrow(/secret/);
  });
});
