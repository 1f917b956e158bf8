import { SETTINGS } from "./settings.ts";

/** Hides what is secret in a text. */
export type Hide = (text: string) => string;

/**
 * Hides the secrets of all settings, wherever in a text they stand. Everything that the server writes passes this, so that no
 * message has to know what is secret, and no error of a library that quotes its URL.
 *
 * Secret are settings that are nothing else, and of those that are to name a file whatever names none; of every text that looks
 * like a URL its user, its password and its query. Settings that cannot be read are in no message to begin with.
 *
 * @param args of the process
 * @param env of the process
 */
export function hideSecrets(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Hide {
  const hidden = new Map<string, string>();
  const add = (secret: string, shown = HIDDEN): void => {
    for (const form of formsOf(secret)) if (!hidden.has(form)) hidden.set(form, shown);
  };
  const texts = args.map((arg) => (arg.startsWith("--") ? arg.slice(arg.indexOf("=") + 1) : arg));
  for (const { flag, env: variable, isShown = () => true } of SETTINGS) {
    const given = [env[variable] ?? ""];
    for (const [at, arg] of args.entries()) {
      if (arg === `--${flag}`) given.push(args[at + 1] ?? "");
      if (arg.startsWith(`--${flag}=`)) given.push(arg.slice(flag!.length + 3));
    }
    texts.push(...given);
    for (const text of given) if (text.length >= SHORTEST && !isShown(text)) add(text);
  }
  for (const text of texts) {
    const { masked, secrets } = maskUrl(text);
    if (secrets.length > 0) add(text, masked);
    if (secrets.length > 0 && URL.canParse(text)) add(new URL(text).href, masked);
    for (const secret of secrets) if (secret.length >= SHORTEST) add(secret);
  }
  // The longest first: a URL before what is in it.
  const pairs = [...hidden].toSorted(([a], [b]) => b.length - a.length);
  return (text) => pairs.reduce((rest, [secret, shown]) => rest.replaceAll(secret, shown), text);
}

/** A URL without its secrets, and these. Whatever has a password is taken for one, also what cannot be parsed. */
function maskUrl(text: string): { masked: string; secrets: string[] } {
  const secrets: string[] = [];
  const hide = (secret: string): string => {
    if (secret !== "") secrets.push(secret);
    return HIDDEN;
  };
  if (!text.includes("://") && (text.startsWith("sqlite:") || !/^[^\s:]+:.*@/s.test(text)))
    return { masked: text, secrets };
  const masked = text
    // Up to the last @: a password may hold others, and whatever else ends it in a URL.
    .replace(/^([a-z0-9+.-]*:?\/\/)?(.*)@/is, (_, scheme: string = "", user: string) => {
      const [name = "", ...password] = user.split(":");
      hide(password.length > 0 ? password.join(":") : name); // alone it is a token
      return `${scheme}${HIDDEN}@`;
    })
    .replace(/[?#].*/s, (rest) =>
      rest.replaceAll(
        /([?&#])([^=&#]*)(=?)([^&#]*)/g,
        (_, mark: string, name: string, is: string, value: string) => {
          if (is === "") return `${mark}${hide(name)}`;
          return `${mark}${name}=${PUBLIC_PARAMETERS.has(name) ? value : hide(value)}`;
        },
      ),
    );
  return { masked, secrets };
}

/** How a secret can stand in a message: as it was given, decoded, encoded, and quoted. */
function formsOf(secret: string): string[] {
  const decoded = secret.replaceAll(/(%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch {
      return bytes;
    }
  });
  const plain = [secret, decoded];
  const encoded = plain.flatMap((text) => [
    encodeURI(text.toWellFormed()),
    encodeURIComponent(text.toWellFormed()),
  ]);
  const lower = encoded.map((text) => text.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase()));
  return [...plain, ...encoded, ...lower].flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]);
}

const HIDDEN = "***";
/** A shorter one would take letters out of every word, and so be told; it is only hidden as a part of its URL. */
const SHORTEST = 4;
/** What the URL of a log may have in its query. */
const PUBLIC_PARAMETERS: ReadonlySet<string> = new Set([
  "prefix",
  "replicas",
  "wait_replicas",
  "wait_timeout",
]);
