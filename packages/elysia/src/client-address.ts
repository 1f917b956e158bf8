import { BlockList, isIP } from "node:net";
import type { Server } from "bun";

/** Who a request is from, as a text to count by; undefined when that cannot be told. */
export type ClientAddress = (request: Request, server: Server<unknown> | null) => string | undefined;

/**
 * The address of a request's client, to count by: an IPv4 address, or the first half of an IPv6 one, because whoever has
 * one IPv6 address commonly has all 2^64 of its network.
 *
 * `X-Forwarded-For` counts only when the peer is a trusted proxy, and of it the last address that is not one: what stands
 * before that, the client itself may have written.
 *
 * @param trustedProxies addresses and networks, as `10.0.0.0/8`
 * @param onDisregarded told once, of the first peer that is not a trusted proxy and sends the header all the same
 * @throws TypeError naming what is neither
 */
export function clientAddress(
  trustedProxies: readonly string[] = [],
  onDisregarded: (peer: string) => void = () => {},
): ClientAddress {
  const trusted = listOf(trustedProxies);
  let hasTold = false;
  return (request, server) => {
    const peer = server?.requestIP(request)?.address;
    if (peer === undefined) return undefined;
    const address = canonical(peer);
    if (trusted === null || !isTrusted(trusted, address)) {
      if (!hasTold && request.headers.has("x-forwarded-for")) {
        hasTold = true;
        onDisregarded(address);
      }
      return network(address);
    }
    return network(forwarded(request.headers.get("x-forwarded-for"), trusted, address));
  };
}

function listOf(addresses: readonly string[]): BlockList | null {
  if (addresses.length === 0) return null;
  const list = new BlockList();
  for (const text of addresses) {
    const [address = "", bits, ...rest] = text.split("/");
    const version = isIP(address);
    const most = version === 4 ? 32 : 128;
    const prefix = bits === undefined ? most : /^[0-9]{1,3}$/.test(bits) ? Number(bits) : Infinity;
    if (version === 0 || prefix > most || rest.length > 0) {
      throw new TypeError(`must be addresses and networks, as 10.0.0.0/8, not ${JSON.stringify(text)}`);
    }
    list.addSubnet(address, prefix, version === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

function isTrusted(trusted: BlockList, address: string): boolean {
  return trusted.check(address, address.includes(":") ? "ipv6" : "ipv4");
}

/** From the last proxy back, as far as they are trusted. What is no address ends it: the last one before it is the client. */
function forwarded(header: string | null, trusted: BlockList, peer: string): string {
  let client = peer;
  for (const hop of (header ?? "").split(",").toReversed()) {
    const address = canonical(withoutPort(hop.trim()));
    if (isIP(address) === 0) return client;
    client = address;
    if (!isTrusted(trusted, client)) return client;
  }
  return client;
}

/** Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::[0-9]*)?$/.exec(hop)?.[1] ?? /^([0-9.]+):[0-9]*$/.exec(hop)?.[1] ?? hop;
}

/** An IPv4 client of a socket for both has an IPv6 address. */
function canonical(address: string): string {
  return /^::ffff:([0-9.]+)$/i.exec(address)?.[1] ?? address;
}

/** The first 64 bits of an IPv6 address, in one spelling; any other as it is. */
function network(address: string): string {
  if (!address.includes(":")) return address;
  const [left = "", right] = address.toLowerCase().split("%")[0]!.split("::");
  const groups = left === "" ? [] : left.split(":");
  if (right !== undefined) {
    // A tail in dots takes the place of two groups.
    const after = right === "" ? 0 : right.split(":").length + (right.includes(".") ? 1 : 0);
    while (groups.length + after < 8) groups.push("0");
    if (right !== "") groups.push(...right.split(":"));
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
