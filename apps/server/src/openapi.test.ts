import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { readConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { type RunningServer, startServer } from "./server.ts";

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema: Record<string, unknown> }> };
  parameters?: { in: string; name: string }[];
  responses: Record<string, { content?: object; description: string }>;
}
type Document = {
  openapi: string;
  security?: object[];
  components?: { securitySchemes: Record<string, object> };
  paths: Record<string, Record<string, Operation>>;
};

async function start(...flags: string[]): Promise<RunningServer> {
  const config = readConfig(["--port", "0", "--log", "memory:", "--drain", "1ms", ...flags], {
    SSE_JWT_SECRET: flags.length > 0 ? "0123456789abcdef0123456789abcdef" : undefined,
  })!;
  return await startServer(
    config,
    createLogger("error", String, () => {}),
  );
}

/** `127.0.0.1`, as a name may have other addresses too. */
async function read(server: RunningServer, path: string, accept = "*/*"): Promise<string> {
  const response = await fetch(new URL(path, server.url.replace("localhost", "127.0.0.1")), {
    headers: { accept },
  });
  const type = accept.includes("html") ? "text/html;" : "application/json";
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    expect.stringContaining(type),
  ]);
  return await response.text();
}

describe.each([
  ["without authentication", []],
  ["with authentication", ["--auth-cookie", "session", "--cors-origins", "https://example.com"]],
])("%s, /openapi", (_, flags) => {
  let server: RunningServer;
  let document: Document;
  beforeAll(async () => {
    server = await start(...flags);
    document = JSON.parse(await read(server, "/openapi/json")) as Document;
  });
  afterAll(() => server.stop());

  test("is what `curl` gets too, and for a browser a page that needs nothing from elsewhere", async () => {
    expect(JSON.parse(await read(server, "/openapi"))).toEqual(document);
    const html = await read(server, "/openapi", "text/html,application/xhtml+xml,*/*;q=0.8");
    for (const [path, methods] of Object.entries(document.paths))
      for (const method of Object.keys(methods))
        expect(html).toContain(`<code>${method.toUpperCase()} ${path}</code></h2>`);
    for (const event of ["sse:ready", "sse:gap", "sse:end", "sse:closing"])
      expect(html).toContain(`<td><code>${event}</code></td>`);
    expect(html).not.toMatch(/<script|<style|\sstyle=|(?:src|href)="https?:/);
  });

  test("is valid", async () => {
    expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
  });

  test("has every route, and the rest answers other methods", () => {
    const documented = new Set(
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("{file}", ":file")}`),
      ),
    );
    const missing = server.app.routes.filter(({ method, path }) => !documented.has(`${method} ${path}`));
    expect(missing.filter(({ method }) => method !== "ALL" && method !== "OPTIONS")).toEqual([]);
    expect(documented.has("GET /openapi")).toBeTrue();
    expect(documented.has("POST /tickets")).toBe(flags.length > 0);
  });

  test("has nothing that is not there, and answers that are told of", async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { responses }] of Object.entries(methods)) {
        const url = `http://127.0.0.1:${new URL(server.url).port}${path}`;
        const abort = new AbortController();
        const response = await fetch(url, { method, signal: abort.signal });
        const type = response.headers.get("content-type")?.split(";")[0];
        abort.abort();
        const told = responses[response.status];
        const place = `${method} ${path}: ${response.status}`;
        expect(told === undefined ? place : "").toBe("");
        if (told?.content !== undefined) expect([place, ...Object.keys(told.content)]).toContain(type!);
      }
    }
  });

  test("asks for each body that is needed, and allows no field that is refused", async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const body = methods["post"]?.requestBody;
      if (body === undefined) continue;
      const ask = async (text: string): Promise<number> => {
        const headers = { "content-type": "application/json" };
        const url = `http://127.0.0.1:${new URL(server.url).port}${path}`;
        return (await fetch(url, { method: "POST", headers, body: text })).status;
      };
      expect(`${path} ${body.required !== true && (await ask("")) === 400}`).toBe(`${path} false`);
      const { schema } = body.content["application/json"]!;
      const objects = (schema["oneOf"] as (typeof schema)[] | undefined)?.slice(0, 1) ?? [schema];
      const isOpen = objects.some(({ additionalProperties }) => additionalProperties !== false);
      expect(`${path} ${isOpen && (await ask('{"other":1}')) === 400}`).toBe(`${path} false`);
    }
  });

  test("says who has to authenticate, and how", () => {
    const schemes = Object.keys(document.components?.securitySchemes ?? {});
    expect(schemes).toEqual(flags.length > 0 ? ["bearer", "cookie"] : []);
    expect(document.security ?? []).toHaveLength(schemes.length);
  });

  test("tells the stream's parameters and control events", () => {
    const { parameters, responses } = document.paths["/events"]!["get"]!;
    expect(parameters!.map((each) => each.name)).toEqual([
      "topic",
      "Last-Event-ID",
      "lastEventId",
      "replay",
      "lag",
      "envelope",
      "control",
      "ticket",
    ]);
    expect(Object.keys(responses["200"]!.content!)).toEqual(["text/event-stream"]);
    for (const event of ["sse:ready", "sse:gap", "sse:end", "sse:closing"])
      expect(responses["200"]!.description).toContain(event);
  });
});
