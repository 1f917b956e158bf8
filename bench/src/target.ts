import { lookup } from "node:dns/promises";

/** Where connections of a run go: a URL's origin, resolved once, so that no connection waits for a name server. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** The name to check the certificate for; null without TLS. */
  readonly tlsName: string | null;
  /** Takes any certificate. */
  readonly insecure: boolean;
  /** The `Host` header field. */
  readonly host: string;
}

/** A run that cannot be made, in one line; the exit code is 2. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

/** @throws BenchError when nothing can be reached there */
export async function resolveTarget(url: string, insecure = false): Promise<Target> {
  const { protocol, hostname, port, host } = new URL(url);
  const name = hostname.replace(/^\[|\]$/g, "");
  const tls = protocol === "https:";
  const target = { port: Number(port || (tls ? 443 : 80)), tlsName: tls ? name : null, insecure, host };
  const addresses = await lookup(name, { all: true }).catch((): { address: string }[] => []);
  let why = "the name does not resolve";
  // `localhost` is two addresses, and many servers listen on one.
  for (const { address } of addresses) {
    try {
      const socket = await Bun.connect({ hostname: address, port: target.port, socket: { data() {} } });
      socket.end();
      return { ...target, address };
    } catch (error) {
      why = reasonOf(error);
    }
  }
  throw new BenchError(`cannot connect to ${url}: ${why}`);
}

/** What a failed connection is called in reports: its code, as ECONNREFUSED, or its message. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}

/** The part of a URL that a request line has. */
export function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** @throws BenchError naming what it was given for, when it is not an http or https URL */
export function checkUrl(url: string, what: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new BenchError(`${what} must be an http:// or https:// URL, not ${JSON.stringify(url)}`);
}

export function headerLines(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}
