/** The parameters that each kind of log takes after the `?` of its URL. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  "redis:": ["prefix"],
  "rediss:": ["prefix"],
  "nats:": ["prefix", "replicas"],
};

/** What is wrong with the URL of a log, without what is secret in it; null when nothing is. */
export function logUrlFault(text: string): string | null {
  if (text === "memory:" || /^sqlite:./.test(text)) return null;
  const parts = logUrlParts(text);
  const allowed = parts === null ? undefined : PARAMETERS[parts.protocol];
  if (parts === null || allowed === undefined) {
    return "must be sqlite:PATH or memory:, or for several nodes redis://host:6379, rediss://host:6379 or nats://host:4222";
  }
  const { protocol, params } = parts;
  const unknown = [...params.keys()].find((name) => !allowed.includes(name));
  if (unknown !== undefined) {
    return `has the unknown parameter ${JSON.stringify(unknown)}; ${protocol} takes ${allowed.join(" and ")}`;
  }
  const prefix = params.get("prefix");
  if (prefix !== null && !/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    return "has a prefix that is not 1 to 32 of A-Z, a-z, 0-9, _ and -";
  }
  if (!/^[1-5]?$/.test(params.get("replicas") ?? "")) return "has replicas that are not a number from 1 to 5";
  return null;
}

/** The parts of the URL of a broker; null when it is not of that form. */
export function logUrlParts(
  text: string,
): { protocol: string; host: string; url: string; params: URLSearchParams } | null {
  const [, url, protocol, host, query = ""] =
    /^(([a-z]+:)\/\/(?:[^@/?]*@)?([^@/?]+)(?:\/[0-9]*)?)(?:\?(.*))?$/.exec(text) ?? [];
  if (url === undefined || protocol === undefined || host === undefined) return null;
  // Several servers of a NATS cluster can stand where a URL has one.
  if (protocol !== "nats:" && !URL.canParse(url)) return null;
  return { protocol, host, url, params: new URLSearchParams(query) };
}

/** For people and files to read: the user and the password are left out. */
export function withoutSecrets(text: string): string {
  return text.replace(/\/\/[^/?]*@/, "//***@");
}
