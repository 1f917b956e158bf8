export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

type Fields = Readonly<Record<string, unknown>>;

/** Writes one line of JSON for each message at or above its level. */
export type Logger = Readonly<Record<LogLevel, (message: string, fields?: Fields) => void>>;

/** @param hide what is secret in a text */
export function createLogger(
  level: LogLevel,
  hide: (text: string) => string,
  write: (line: string) => void = (line) => void process.stdout.write(line),
): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const log =
    (at: LogLevel) =>
    (message: string, fields: Fields = {}): void => {
      if (LOG_LEVELS.indexOf(at) < least) return;
      const line = { time: new Date().toISOString(), level: at, message, ...fields };
      write(
        `${JSON.stringify(line, (_, value: unknown) => (typeof value === "string" ? hide(value) : value))}\n`,
      );
    };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}
