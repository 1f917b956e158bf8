import { BrokerRefusal, EpochMismatch } from "../broker/broker.ts";

/** An error of a command as the log should take it: what Redis has not done is told apart from what it may have done. */
export function refusalOf(error: unknown): unknown {
  if (!isReply(error)) return error;
  const { message } = error;
  // Nothing was done, and the next session finds the server that can.
  if (PASSING.test(message)) return new EpochMismatch(message);
  return new BrokerRefusal(explained(message));
}

/** What Redis has against a script, in words for those who run it. */
export function explained(message: string): string {
  const explanation = EXPLAINED[message.split(" ", 1)[0]!];
  // The rest of the line tells of the script, which is nobody's concern.
  const own = message.replace(/ script: [0-9a-f]{40},.*$/s, "");
  return explanation === undefined ? own : `${explanation} (${own})`;
}

/**
 * Why there is no connection, in words for those who run it.
 *
 * @param sentinels what was wrong with each sentinel that was asked
 * @returns a BrokerRefusal if somebody has to change something; without the arguments of commands, which an error of the client has
 */
export function connectionFault(error: unknown, isSecure: boolean, sentinels: readonly string[]): Error {
  const { message, code = "" } = error as Error & { code?: string };
  if (isReply(error))
    return PASSING.test(message) ? new Error(message) : new BrokerRefusal(explained(message));
  if (/CERT|UNABLE_TO|ALTNAME/.test(code))
    return new BrokerRefusal(
      `its certificate is not trusted (${message}): NODE_EXTRA_CA_CERTS can name the file of another authority`,
    );
  if (code === "ECONNREFUSED") return new Error("connection refused: nothing listens there");
  if (sentinels.length > 0) return sentinelFault(sentinels);
  const advice = isSecure ? "if it does not speak TLS, write redis://" : "if it speaks TLS, write rediss://";
  if (/unknown RESP|protocol error/i.test(message))
    return new BrokerRefusal(`what answers there is not a Redis; ${advice}`);
  if (message === "Connection is closed.")
    return new Error(`it closes the connection without an answer; ${advice}`);
  if (/reset|EPIPE|SSL|TLS|no answer/i.test(`${message} ${code}`)) return new Error(`${message}; ${advice}`);
  return new Error(message);
}

function sentinelFault(sentinels: readonly string[]): Error {
  const all = sentinels.map((each) => each.replace(/^failed to connect to sentinel (\S+) because/, "$1:"));
  const message = `no sentinel tells where it is (${all.join("; ")})`;
  return all.every((each) => /No such master|WRONGPASS|NOAUTH|NOPERM/.test(each))
    ? new BrokerRefusal(message)
    : new Error(message);
}

/** Whether it is what Redis has answered. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}

/** It is not the primary, is not the one with the slot, or is not up yet. */
const PASSING = /^(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|BUSY) /;

const EXPLAINED: Readonly<Record<string, string>> = {
  OOM: "Redis is at its maxmemory: raise it, or lower the bounds of the log",
  MISCONF: "Redis cannot write to its disk",
  WRONGTYPE: "a key of the log has another type: choose another prefix, or delete the key",
  NOREPLICAS: "Redis has fewer replicas than min-replicas-to-write",
};
