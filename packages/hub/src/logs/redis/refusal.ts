/**
 * What Redis has against the user, the password or the database of a URL, in its own words; null when it has nothing
 * against them, or gives no answer.
 *
 * @param within milliseconds
 */
export async function redisRefusal(url: string, within: number): Promise<string | null> {
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  const reply = Promise.withResolvers<string | null>();
  const user = username === "" ? [] : [decodeURIComponent(username)];
  const auth = password === "" ? "" : command("AUTH", ...user, decodeURIComponent(password));
  let text = "";
  const socket = await Bun.connect({
    hostname,
    port: Number(port || 6379),
    tls: protocol === "rediss:",
    socket: {
      open: (opened) => void opened.write(auth + command("SELECT", pathname.slice(1) || "0")),
      data: (_, bytes) => {
        text += bytes.toString();
        const error = /^-(.*)\r\n/m.exec(text);
        if (error !== null) reply.resolve(error[1] ?? null);
        else if (text.split("\r\n").length > (auth === "" ? 1 : 2)) reply.resolve(null);
      },
      close: () => reply.resolve(null),
      error: () => reply.resolve(null),
      connectError: () => reply.resolve(null),
    },
  }).catch(() => null);
  if (socket === null) return null;
  const timer = setTimeout(() => reply.resolve(null), within);
  try {
    return await reply.promise;
  } finally {
    clearTimeout(timer);
    socket.end();
  }
}

/** As the protocol of Redis has it. */
function command(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join("")}`;
}
