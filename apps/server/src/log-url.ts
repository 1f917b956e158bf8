const REDIS = ["prefix", "wait_replicas", "wait_timeout"];
const SENTINEL = [...REDIS, "sentinel_username", "sentinel_password"];

/** The parameters that each kind of log takes after the `?` of its URL. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  "redis:": REDIS,
  "rediss:": REDIS,
  "redis+sentinel:": SENTINEL,
  "rediss+sentinel:": SENTINEL,
  "redis+cluster:": REDIS,
  "rediss+cluster:": REDIS,
  "nats:": ["prefix", "replicas"],
};

const KINDS =
  "sqlite:PATH or memory:, or for several nodes redis://host:6379, redis+sentinel://host:26379/primary, redis+cluster://host:6379 or nats://host:4222";

/** What is wrong with the URL of a log; null when nothing is. Quotes nothing of it: any part of a mistyped URL can be its password. */
export function logUrlFault(text: string): string | null {
  if (text === "memory:" || /^sqlite:(?!.*:\/\/)./s.test(text)) return null;
  if (/^sqlite:.*:\/\//s.test(text)) return "takes the path of a file after sqlite:, and no URL";
  if (text === "sqlite:") return "names no file after sqlite:";
  if (text.startsWith("memory:")) return "takes nothing after memory:";
  const [, protocol = ""] = /^([^:/?#@]+:)/.exec(text) ?? [];
  const allowed = PARAMETERS[protocol];
  if (allowed === undefined) return `must be ${KINDS}`;
  return hostFault(protocol, text) ?? parameterFault(protocol, text, allowed);
}

function hostFault(protocol: string, text: string): string | null {
  const rest = text.slice(protocol.length);
  if (!rest.startsWith("//")) return `needs // after ${protocol}`;
  const [address = ""] = rest.slice(2).split(/[?#]/, 1);
  if (address.split("@").length > 2 || /[/?#].*@/.test(rest.slice(2))) {
    return "has a character in its user or password that has to be written as %40 for @, %2F for /, %3F for ? or %23 for #";
  }
  if (/%(?![0-9a-f]{2})/i.test(address)) return "has a % that stands for no character; write %25";
  const [hosts = "", ...path] = address.slice(address.indexOf("@") + 1).split("/");
  if (/^rediss?:/.test(protocol) && hosts.includes(","))
    return "names several hosts: write redis+sentinel:// or redis+cluster:// before them";
  for (const each of hosts.split(",")) {
    const [, host = "", port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(each) ?? [];
    if (host === "") return "names no host";
    if (!URL.canParse(`http://${host}`)) return "has a host that cannot be one";
    if (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
      return "has a port that is not a number from 1 to 65535";
  }
  const after = path.join("/");
  if (/^nats:|cluster/.test(protocol) && after !== "") return `has a path; with ${protocol} there is none`;
  const [name = "", database = ""] = /sentinel/.test(protocol) ? after.split(/\/(.*)/) : ["-", after];
  if (name === "")
    return "does not say what the sentinels call the primary, as in redis+sentinel://host:26379/primary";
  if (!/^[\w.-]+$/.test(name)) return "has a primary that is not of A-Z, a-z, 0-9, _, . and -";
  if (!/^[0-9]*$/.test(database)) return "has a database that is not a number";
  return text.includes("#") ? "has a part after #, which means nothing" : null;
}

function parameterFault(protocol: string, text: string, allowed: readonly string[]): string | null {
  const params = logUrlParts(text)?.params ?? new URLSearchParams();
  const unknown = [...params.keys()].find((name) => !allowed.includes(name));
  if (unknown !== undefined) {
    return `has an unknown parameter; ${protocol} takes ${allowed.join(" and ")}`;
  }
  const prefix = params.get("prefix");
  if (prefix !== null && !/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    return "has a prefix that is not 1 to 32 of A-Z, a-z, 0-9, _ and -";
  }
  if (!/^[1-5]?$/.test(params.get("replicas") ?? "")) return "has replicas that are not a number from 1 to 5";
  if (!/^[0-9]?$/.test(params.get("wait_replicas") ?? ""))
    return "has wait_replicas that are not a number from 0 to 9";
  if (!/^([1-9][0-9]{0,2}|[1-3][0-9]{3}|4000)?$/.test(params.get("wait_timeout") ?? ""))
    return "has a wait_timeout that is not a number from 1 to 4000 (ms)";
  return null;
}

/** The parts of the URL of a broker, in which there is no fault; null for another kind of log. */
export function logUrlParts(
  text: string,
): { protocol: string; host: string; url: string; params: URLSearchParams } | null {
  const [, url, protocol, host, query = ""] =
    /^(([a-z+]+:)\/\/(?:[^@/?]*@)?([^@/?]+)(?:\/[\w./-]*)?)(?:\?(.*))?$/.exec(text) ?? [];
  if (url === undefined || protocol === undefined || host === undefined) return null;
  return { protocol, host, url, params: new URLSearchParams(query) };
}
