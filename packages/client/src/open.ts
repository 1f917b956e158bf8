import { type Connect, connect, type Link } from "./connection.ts";
import { settingsOf } from "./options.ts";
import { browserPlatform, type SharingPlatform } from "./shared/platform.ts";

/** Feeds a sink over a connection of its own or, where that is asked for and can be had, over the one of all tabs. */
export const open: Connect = (url, options, sink) => {
  const platform = (options.shared ?? false) === false ? null : browserPlatform();
  return platform === null ? connect(url, options, sink) : share(platform, url, options, sink);
};

/**
 * Loads what tabs share by when somebody shares: others do not pay for it. Where it cannot be loaded, a connection of
 * its own is better than none: the network may be away, or a later deployment may have replaced the file.
 */
function share(platform: SharingPlatform, ...[url, options, sink]: Parameters<Connect>): Link {
  const settings = settingsOf(options); // now, so that a wrong option is thrown to the caller
  let closed = false;
  let link: Link | undefined;
  void import("./shared/member.ts")
    .catch(() => {})
    .then((loaded) => {
      if (closed) return;
      link = loaded ? new loaded.Member(url, options, settings, sink, platform) : connect(url, options, sink);
    });
  return {
    close: () => {
      closed = true;
      link?.close();
    },
  };
}
