/** Why there is no connection to a Redis. */
export interface RedisFault {
  readonly reason: string;
  /** It stays so until somebody changes something. */
  readonly isFinal: boolean;
}

/**
 * Finds out why a connection fails, by making another one: Bun's client tells most of it in the same words. Null when
 * this one does not fail.
 *
 * @param within milliseconds
 */
export async function redisFault(url: string, within: number): Promise<RedisFault | null> {
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  const found = Promise.withResolvers<RedisFault | null>();
  const tls = protocol === "rediss:";
  const user = username === "" ? [] : [decodeURIComponent(username)];
  const auth = password === "" ? "" : command("AUTH", ...user, decodeURIComponent(password));
  let text = "";
  let isSecure = !tls;
  const closed = (): void =>
    found.resolve(
      isSecure && !tls
        ? passing("it closes the connection without an answer; if it speaks TLS, write rediss://")
        : passing(
            `it closes the connection${isSecure ? "" : " before there is TLS; without TLS, write redis://"}`,
          ),
    );
  const socket = await Bun.connect({
    hostname,
    port: Number(port || 6379),
    tls,
    socket: {
      open: (opened) => void opened.write(auth + command("SELECT", pathname.slice(1) || "0")),
      handshake: (_, isTrusted, error) => {
        isSecure = isTrusted || /CERT|UNABLE|ALTNAME/.test((error as { code?: string } | null)?.code ?? "");
        if (!isTrusted && isSecure)
          found.resolve(
            final(
              `its certificate is not trusted (${error?.message}): NODE_EXTRA_CA_CERTS can name the file of another authority`,
            ),
          );
      },
      data: (_, bytes) => {
        text += bytes.toString();
        const error = /^-(.*)\r\n/m.exec(text);
        if (error !== null) found.resolve(final(error[1]!));
        else if (!REPLY.test(text))
          found.resolve(final(`what answers there is not a Redis: ${firstOf(text)}`));
        else if (text.split("\r\n").length > (auth === "" ? 1 : 2)) found.resolve(null);
      },
      close: closed,
      error: closed,
    },
  }).catch((error: Error & { code?: string }) => {
    found.resolve(
      passing(error.code === "ECONNREFUSED" ? "connection refused: nothing listens there" : error.message),
    );
    return null;
  });
  const timer = setTimeout(
    () =>
      found.resolve(
        passing(
          `no answer within ${within} ms${isSecure ? "" : "; if it does not speak TLS, write redis://"}`,
        ),
      ),
    within,
  );
  try {
    return await found.promise;
  } finally {
    clearTimeout(timer);
    socket?.end();
  }
}

/** What Redis has against a script, in words for those who run it. */
export function explained(message: string): string {
  const explanation = EXPLAINED[message.split(" ", 1)[0]!];
  // The rest of the line tells of the script, which is nobody's concern.
  const own = message.replace(/ script: [0-9a-f]{40},.*$/s, "");
  return explanation === undefined ? own : `${explanation} (${own})`;
}

const passing = (reason: string): RedisFault => ({ reason, isFinal: false });
const final = (reason: string): RedisFault => ({ reason, isFinal: true });

/** What Redis says besides errors. */
const REPLY = /^[+$:*]/;

/** What it says first, as far as people can read it. */
function firstOf(text: string): string {
  return JSON.stringify(text.split("\r\n")[0]!.slice(0, 60));
}

/** As the protocol of Redis has it. */
function command(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join("")}`;
}

const EXPLAINED: Readonly<Record<string, string>> = {
  OOM: "Redis is at its maxmemory: raise it, or lower the bounds of the log",
  MISCONF: "Redis cannot write to its disk",
  WRONGTYPE: "a key of the log has another type: choose another prefix, or delete the key",
  NOREPLICAS: "Redis has fewer replicas than min-replicas-to-write",
};
