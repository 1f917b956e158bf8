import { expect, test } from "bun:test";
import type { Server } from "bun";
import { clientAddress } from "./client-address.ts";

function addressOf(
  peer: string | null,
  forwardedFor: string | null,
  trusted: string[] = [],
): string | undefined {
  const server = {
    requestIP: () => (peer === null ? null : { address: peer }),
  } as unknown as Server<unknown>;
  const headers: Record<string, string> = forwardedFor === null ? {} : { "x-forwarded-for": forwardedFor };
  return clientAddress(trusted)(new Request("http://localhost/", { headers }), server);
}

const PROXIES = ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1"];

test.each<[string, string | null, string]>([
  // A client that is no proxy says nothing that counts.
  ["198.51.100.7", null, "198.51.100.7"],
  ["198.51.100.7", "203.0.113.1", "198.51.100.7"],
  ["198.51.100.7", "10.1.1.1, 10.1.1.2", "198.51.100.7"],
  // Of what proxies say, what the last one saw that is none.
  ["10.1.1.1", "203.0.113.1", "203.0.113.1"],
  ["10.1.1.1", "1.1.1.1, 203.0.113.1", "203.0.113.1"],
  ["10.1.1.1", "1.1.1.1,203.0.113.1 , 192.0.2.1,10.2.2.2", "203.0.113.1"],
  ["::ffff:10.1.1.1", "203.0.113.1", "203.0.113.1"],
  ["::1", "::ffff:203.0.113.1", "203.0.113.1"],
  ["fd00::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"],
  ["10.1.1.1", "203.0.113.1:4711", "203.0.113.1"],
  ["10.1.1.1", "[2001:db8::1]:4711", "2001:db8:0:0::/64"],
  ["10.1.1.1", "[2001:db8::1]", "2001:db8:0:0::/64"],
  // A request of the proxy itself, and what nobody can read.
  ["10.1.1.1", null, "10.1.1.1"],
  ["10.1.1.1", "", "10.1.1.1"],
  ["10.1.1.1", "10.2.2.2, 10.3.3.3", "10.2.2.2"],
  ["10.1.1.1", "203.0.113.1, unknown", "10.1.1.1"],
  ["10.1.1.1", "203.0.113.1, _hidden, 10.2.2.2", "10.2.2.2"],
  ["10.1.1.1", "203.0.113.1, 10.2.2.2:x", "10.1.1.1"],
  // One client has a network of IPv6.
  ["2001:db8:1:2:3:4:5:6", null, "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::9", null, "2001:db8:1:2::/64"],
  ["2001:db8::1", null, "2001:db8:0:0::/64"],
  ["2001:db8:1:2:ffff:ffff:192.0.2.3", null, "2001:db8:1:2::/64"],
  ["64:ff9b::192.0.2.3", null, "64:ff9b:0:0::/64"],
  ["::", null, "0:0:0:0::/64"],
  ["fe80::1%eth0", null, "fe80:0:0:0::/64"],
])("%s that forwards for %j counts as %s", (peer, forwardedFor, address) => {
  expect(addressOf(peer, forwardedFor, PROXIES)).toBe(address);
});

test("a peer without an address is not counted, and without trusted proxies no header counts", () => {
  expect(addressOf(null, "203.0.113.1", PROXIES)).toBeUndefined();
  expect(clientAddress()(new Request("http://localhost/"), null)).toBeUndefined();
  expect(addressOf("10.1.1.1", "203.0.113.1")).toBe("10.1.1.1");
});

test.each([
  "proxy.example",
  "10.0.0.0/33",
  "10.0.0.0/8/8",
  "::1/129",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "",
  "10.0.0",
])("%j is no proxy", (text) => {
  expect(() => clientAddress([text])).toThrow(TypeError);
});

test("a peer that is no trusted proxy, and speaks for others, is told of, once", () => {
  const told: string[] = [];
  const address = clientAddress(["10.0.0.0/8"], (peer) => told.push(peer));
  const ask = (peer: string, headers: Record<string, string>): void => {
    const server = { requestIP: () => ({ address: peer }) } as unknown as Server<unknown>;
    address(new Request("http://localhost/", { headers }), server);
  };
  const headers = { "x-forwarded-for": "203.0.113.1" };
  ask("198.51.100.7", {});
  ask("10.1.1.1", headers);
  expect(told).toEqual([]);
  ask("::ffff:198.51.100.7", headers);
  ask("198.51.100.8", headers);
  expect(told).toEqual(["198.51.100.7"]);
});
