import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfigError } from "./setting-values.ts";
import type { Config } from "./settings.ts";

/** Options of Bun's server: nothing for plain HTTP; else TLS, with HTTP/2 for whoever speaks it. */
export interface TlsOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly http2?: true;
  readonly http3?: boolean;
}

/** @throws ConfigError when a file cannot be read or is not what it should be, or when the two do not belong together */
export function tlsOptions({ tlsCert, tlsKey, http3 }: Config): TlsOptions {
  if (tlsCert === undefined || tlsKey === undefined) return {};
  const cert = read("--tls-cert", tlsCert);
  const key = read("--tls-key", tlsKey);
  const certificate = parsed(`--tls-cert ${tlsCert} is no certificate`, () => new X509Certificate(cert));
  const privateKey = parsed(`--tls-key ${tlsKey} is no private key`, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ConfigError(`--tls-key ${tlsKey} is not the key of --tls-cert ${tlsCert}`);
  }
  return { tls: { cert, key }, http2: true, http3 };
}

function read(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${flag} ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function parsed<T>(fault: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ConfigError(`${fault} in PEM: ${(error as Error).message}`);
  }
}
