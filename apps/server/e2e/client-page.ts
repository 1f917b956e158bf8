import { fileURLToPath } from "node:url";
import type { DevToolsBrowser, DevToolsTab } from "./devtools.ts";

/** The client as a page loads it, in `window.sse`; what arrives is kept in `window.log`. */
const SCRIPT = `
  import { EventSource as Source, subscribe } from "@sse/client";
  const log = [];
  // All of the stream's events, whatever their types.
  const follow = (url, init) => {
    const source = new Source(url, init);
    const dispatch = source.dispatchEvent.bind(source);
    source.dispatchEvent = (event) => {
      if (event.type === "error") log.push("error " + event.code);
      else log.push(event.type === "message" ? event.data : event.type);
      return dispatch(event);
    };
    window.source = source;
  };
  document.addEventListener("freeze", () => log.push("frozen"));
  window.sse = { Source, subscribe, follow };
  window.log = log;
`;

let script: Promise<string> | undefined;

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL("client-page.entry.ts", import.meta.url));
  const { outputs } = await Bun.build({
    entrypoints: [entry],
    files: { [entry]: SCRIPT },
    target: "browser",
    format: "iife",
  });
  return await outputs[0]!.text();
}

/** A page of that origin, empty but for the client. */
export async function openClientPage(browser: DevToolsBrowser, origin: string): Promise<DevToolsTab> {
  script ??= bundle();
  const tab = await browser.open(`${origin}/healthz`);
  await tab.evaluate(await script);
  return tab;
}

/** What has arrived in a page. */
export function logOf(tab: DevToolsTab): Promise<string[]> {
  return tab.evaluate<string[]>("window.log");
}
