import { expect, test } from "bun:test";
import { ADMIN, type Route, withEveryRoute } from "./app-routes.ts";

/* No answer of the server may be taken for something else than it says, whatever the route, the method and the outcome. */

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ORIGIN = "https://app.example";
const VARIANTS: Record<string, string>[] = [
  ADMIN,
  {}, // which most routes refuse
  { ...ADMIN, accept: "text/html" },
  { ...ADMIN, origin: ORIGIN },
  { origin: "https://evil.example", "access-control-request-method": "GET" },
  {
    origin: ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
  },
];

async function answersWithout(
  url: string,
  paths: Iterable<string>,
): Promise<{ answers: string[]; statuses: Set<number> }> {
  const answers: string[] = [];
  const statuses = new Set<number>();
  for (const path of paths) {
    for (const method of METHODS) {
      for (const headers of VARIANTS) {
        const abort = new AbortController();
        const response = await fetch(`${url}${path}`, { method, headers, signal: abort.signal });
        statuses.add(response.status);
        if (response.headers.get("x-content-type-options") !== "nosniff")
          answers.push(`${method} ${path} ${response.status} ${JSON.stringify(headers)}`);
        abort.abort();
      }
    }
  }
  return { answers, statuses };
}

const pathsOf = (routes: readonly Route[]): Set<string> =>
  new Set([...routes.map(({ path }) => path), "/nothing", "/events?topic=a%20b", "/events?replay=x"]);

test.each([
  ["without origins", []],
  ["with origins", ["--cors-origins", ORIGIN]],
])("every answer of every route says nosniff, %s", async (_, flags) => {
  const { answers, statuses } = await withEveryRoute(
    (url, routes) => answersWithout(url, pathsOf(routes)),
    flags,
  );
  expect(answers).toEqual([]);
  for (const status of [200, 204, 400, 401, 404, 405]) expect([...statuses]).toContain(status);
});

test("so does what is published, a topic that has ended, and a refusal in a stream", async () => {
  await withEveryRoute(
    async (url) => {
      const post = { method: "POST", headers: { ...ADMIN, "content-type": "application/json" } };
      const published = await fetch(`${url}/publish`, { ...post, body: '{"topic":"t","end":true}' });
      const { id } = (await published.json()) as { id: string };
      const ended = await fetch(`${url}/events?topic=t&lastEventId=${id}`, { headers: ADMIN });
      const full = await fetch(`${url}/publish`, { ...post, body: "x".repeat(5 * 2 ** 20) });
      const stream = { ...ADMIN, accept: "text/event-stream" };
      const one = await fetch(`${url}/events?topic=u`, { headers: stream });
      const refused = await fetch(`${url}/events?topic=u`, { headers: stream });
      expect(await refused.text()).toContain("sse:closing");
      const all = [published, ended, full, one, refused];
      expect(all.map(({ status }) => status)).toEqual([200, 204, 413, 200, 200]);
      expect(all.map(({ headers }) => headers.get("x-content-type-options"))).toEqual(
        all.map(() => "nosniff"),
      );
    },
    ["--max-streams", "1"],
  );
});
