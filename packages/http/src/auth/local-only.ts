import { Refusal } from "../answers/problem.ts";
import { type Authorize, FULL_ACCESS } from "./access.ts";

const LOCAL = /^(localhost|([a-z0-9-]+\.)+localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/;

/**
 * For a server on this machine's own addresses, where nobody has to authenticate: everybody may do everything who calls
 * the server by a name of this machine.
 *
 * A page of any site can have its own name resolve to 127.0.0.1, and is of the same origin as the server then, as far as
 * its browser can tell (DNS rebinding). What it cannot do is send another `Host`.
 *
 * @param hosts names besides localhost and the loopback addresses, without a port
 * @returns for `sse({ authorize })`; it throws Refusal 421 (RFC 9110, 15.5.20)
 */
export function localOnly(hosts: readonly string[] = []): Authorize {
  const names = new Set(hosts.map((each) => each.toLowerCase()));
  let known = "localhost";
  return (request) => {
    // Over HTTP/2 some servers have it in the URL only. HTTP/1.0 has none; browsers always send it.
    const host = request.headers.get("host") ?? URL.parse(request.url)?.host ?? null;
    if (host === null || host === known) return FULL_ACCESS;
    const name = host.toLowerCase().replace(/:[0-9]*$/, "");
    if (!LOCAL.test(name) && !names.has(name)) {
      throw new Refusal(
        421,
        `this server is for its own machine and not called ${JSON.stringify(host.slice(0, 64))}; it has to be told by which other names it may be called`,
      );
    }
    known = host;
    return FULL_ACCESS;
  };
}
