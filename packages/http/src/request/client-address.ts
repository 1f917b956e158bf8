import { BlockList, isIP } from "node:net";
import type { RequestContext } from "../context.ts";

/** Who a request is from, as a text to count by; undefined when that cannot be told. */
export type ClientAddress = (request: Request, context: RequestContext) => string | undefined;

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
  return (request, context) => {
    const peer = context.address;
    if (peer === undefined) return undefined;
    const address = canonical(peer) ?? peer;
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
    const base = canonical(address);
    // A network of mapped addresses is one of IPv4.
    const [most, mapped] = base?.includes(":") ? [128, 0] : [32, isIP(address) === 6 ? 96 : 0];
    const prefix = bits === undefined ? most : /^[0-9]{1,3}$/.test(bits) ? Number(bits) - mapped : Infinity;
    if (base === null || prefix < 0 || prefix > most || rest.length > 0) {
      throw new TypeError(`must be addresses and networks, as 10.0.0.0/8, not ${JSON.stringify(text)}`);
    }
    list.addSubnet(base, prefix, most === 32 ? "ipv4" : "ipv6");
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
    if (address === null) return client;
    client = address;
    if (!isTrusted(trusted, client)) return client;
  }
  return client;
}

/** Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::[0-9]*)?$/.exec(hop)?.[1] ?? /^([0-9.]+):[0-9]*$/.exec(hop)?.[1] ?? hop;
}

/**
 * An address in one spelling, without a zone; null for what is none. IPv4 that is mapped into IPv6 (RFC 4291, 2.5.5.2) is
 * IPv4: so a socket for both sees its clients, and a client with both must not be two. The text is a new one, which does not
 * keep the header alive that it was cut out of.
 */
function canonical(text: string): string | null {
  const version = isIP(text);
  if (version === 0) return null;
  if (version === 4) return text.split(".").map(Number).join(".");
  const groups = groupsOf(text);
  const [high, low] = groups.slice(6) as [number, number];
  if (groups.slice(0, 6).join() === "0,0,0,0,0,65535") return dotted(high, low);
  return groups.map((group) => group.toString(16)).join(":");
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [left = [], right] = address.replace(/%.*/, "").split("::").map(partOf);
  if (right === undefined) return left;
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

/** A tail in dots takes the place of two groups. */
function partOf(part: string): number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => {
    if (!group.includes(".")) return Number.parseInt(group, 16);
    const [a, b, c, d] = group.split(".").map(Number) as [number, number, number, number];
    return [(a << 8) | b, (c << 8) | d];
  });
}

/** The first 64 bits of an IPv6 address; any other as it is. */
function network(address: string): string {
  return address.includes(":") ? `${address.split(":", 4).join(":")}::/64` : address;
}
