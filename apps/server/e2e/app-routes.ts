import { readConfig } from "../src/config.ts";
import { createLogger } from "../src/logger.ts";
import { startServer } from "../src/server.ts";

export interface Route {
  readonly method: string;
  readonly path: string;
}

/** May do everything, on a server that is given {@link ADMIN_ENV}. */
export const ADMIN = { authorization: "Bearer a-token-that-may-do-everything" };
export const ADMIN_ENV = {
  SSE_TOKENS: JSON.stringify([
    {
      token: "a-token-that-may-do-everything",
      subscribe: ["**"],
      publish: ["**"],
      admin: true,
    },
  ]),
};

/** A method that no route has for itself, for those that take every method. */
const OTHER = "PATCH";

/**
 * Every route of a server with all that can be configured, and what each answers.
 *
 * @param ask is given the server's URL and its routes, with a value for each parameter
 */
export async function withEveryRoute<Result>(
  ask: (url: string, routes: readonly Route[]) => Promise<Result>,
  flags: readonly string[] = [],
): Promise<Result> {
  const config = readConfig(
    ["--port", "0", "--log", "memory:", "--drain", "0s", "--max-lag", "off", ...flags],
    ADMIN_ENV,
  )!;
  const server = await startServer(
    config,
    createLogger("error", String, () => {}),
  );
  try {
    const routes = server.app.routes.map(({ method, path }) => ({
      method: method === "ALL" ? OTHER : method,
      path: path.replaceAll(/:[^/]+|\*$/g, "x"),
    }));
    return await ask(server.url, routes);
  } finally {
    await server.stop();
  }
}
