import { expect, test } from "bun:test";
import { clientAddress } from "./client-address.ts";

function addressOf(
  peer: string | null,
  forwardedFor: string | null,
  trusted: string[] = [],
): string | undefined {
  const headers: Record<string, string> = forwardedFor === null ? {} : { "x-forwarded-for": forwardedFor };
  return clientAddress(trusted)(new Request("http://localhost/", { headers }), {
    address: peer ?? undefined,
  });
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

/** 203.0.113.1, however it is mapped into IPv6. */
const MAPPED = [
  "::ffff:203.0.113.1",
  "::FFFF:203.0.113.1",
  "::ffff:cb00:7101",
  "::ffff:CB00:7101",
  "0:0:0:0:0:ffff:203.0.113.1",
  "0:0:0:0:0:ffff:cb00:7101",
  "0000:0000:0000:0000:0000:FFFF:CB00:7101",
  "0::ffff:203.0.113.1",
  "0:0::0:ffff:cb00:7101",
  "::0:0:ffff:203.0.113.1",
  "::ffff:203.0.113.1%eth0",
  "::ffff:cb00:7101%1",
];

test.each(MAPPED)("%s counts as the IPv4 address, wherever it stands", (mapped) => {
  expect(addressOf(mapped, null)).toBe("203.0.113.1");
  expect(addressOf("10.1.1.1", mapped, PROXIES)).toBe("203.0.113.1");
  expect(addressOf("10.1.1.1", `1.1.1.1, [${mapped}]:4711`, PROXIES)).toBe("203.0.113.1");
  // As a proxy: in the list, as the peer, and among those that the header names.
  const client = "198.51.100.7";
  for (const network of ["203.0.113.1", "203.0.113.0/24", "::ffff:203.0.113.0/120", "::ffff:cb00:7101"]) {
    expect(addressOf(mapped, client, [network])).toBe(client);
    expect(addressOf("10.1.1.1", `${client}, ${mapped}`, ["10.0.0.0/8", network])).toBe(client);
  }
  expect(addressOf("203.0.113.1", client, [mapped])).toBe(client);
  expect(addressOf("203.0.113.1", client, [`${mapped}/128`])).toBe(client);
  expect(addressOf("203.1.114.1", client, [`${mapped}/112`])).toBe("203.1.114.1");
  expect(addressOf("203.0.114.1", client, ["203.0.113.0/24", "::fffe:203.0.114.1"])).toBe("203.0.114.1");
});

test.each(["::fffe:203.0.113.1", "::1:ffff:203.0.113.1", "::203.0.113.1", "64:ff9b::203.0.113.1"])(
  "%s is no mapped address",
  (other) => {
    expect(addressOf(other, null)).toEndWith("::/64");
    expect(addressOf(other, "198.51.100.7", ["203.0.113.0/24"])).toEndWith("::/64");
  },
);

test("one address of IPv6 counts once, in whatever spelling", () => {
  const spellings = [
    "2001:DB8::1",
    "2001:db8:0:0::1",
    "2001:0db8::0:1",
    "2001:db8::0.0.0.1",
    "2001:db8::1%a",
  ];
  for (const spelling of spellings) {
    expect(addressOf("10.1.1.1", spelling, PROXIES)).toBe("2001:db8:0:0::/64");
    expect(addressOf("2001:db8::1", "198.51.100.7", [spelling])).toBe("198.51.100.7");
    expect(addressOf(spelling, "198.51.100.7", ["2001:db8::/32"])).toBe("198.51.100.7");
  }
});

test("a peer without an address is not counted, and without trusted proxies no header counts", () => {
  expect(addressOf(null, "203.0.113.1", PROXIES)).toBeUndefined();
  expect(clientAddress()(new Request("http://localhost/"), {})).toBeUndefined();
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
  "::ffff:10.0.0.0/95",
  "::ffff:10.0.0.0/129",
  "10.0.0.1%eth0",
])("%j is no proxy", (text) => {
  expect(() => clientAddress([text])).toThrow(TypeError);
});

test("a peer that is no trusted proxy, and speaks for others, is told of, once", () => {
  const told: string[] = [];
  const address = clientAddress(["10.0.0.0/8"], (peer) => told.push(peer));
  const ask = (peer: string, headers: Record<string, string>): void => {
    address(new Request("http://localhost/", { headers }), { address: peer });
  };
  const headers = { "x-forwarded-for": "203.0.113.1" };
  ask("198.51.100.7", {});
  ask("10.1.1.1", headers);
  expect(told).toEqual([]);
  ask("::ffff:198.51.100.7", headers);
  ask("198.51.100.8", headers);
  expect(told).toEqual(["198.51.100.7"]);
});
