import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { PATIENCE } from "./sse-client.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PLACES = [
  "/usr/bin/chromium",
  "/snap/bin/chromium",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where Chromium is: what `CHROMIUM_PATH` says, or its usual names and places. Null when there is none. */
export const CHROMIUM: string | null =
  Bun.env["CHROMIUM_PATH"] || (await first([...NAMES.map((name) => Bun.which(name)), ...PLACES]));

async function first(candidates: readonly (string | null)[]): Promise<string | null> {
  for (const path of candidates) if (path !== null && (await Bun.file(path).exists())) return path;
  return null;
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: FLAGS });
}

/** What a browser says by itself of a server that is away, or about to go: no fault of the page. */
const AWAY =
  /^Failed to load resource: (the server responded with a status of 503|net::ERR_(CONNECTION_REFUSED|EMPTY_RESPONSE|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING))/;

export type FeedName = "demos" | "board" | "stats" | "job";

/** A tab with the page in it. */
export class Tab {
  readonly page: Page;
  /** Whatever the page should not have logged, thrown or loaded. */
  readonly troubles: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.troubles.push(String(error)));
    page.on("console", (message) => {
      const trouble = message.type() === "error" || message.type() === "warning";
      if (trouble && !AWAY.test(message.text())) this.troubles.push(message.text());
    });
  }

  static async open(context: BrowserContext, url: string): Promise<Tab> {
    context.setDefaultTimeout(PATIENCE);
    const tab = new Tab(await context.newPage());
    await tab.page.goto(url);
    return tab;
  }

  tile(name: FeedName): Locator {
    return this.page.locator(`[data-feed="${name}"]`);
  }

  /** Waits for a state of a tile, and the words beside it. */
  async sees(name: FeedName, state: string, detail = ""): Promise<void> {
    const shown = this.page.locator(`[data-feed="${name}"][data-state="${state}"] .state`);
    await shown.filter({ hasText: detail }).waitFor();
  }

  /** Waits for the sentence over all tiles. */
  async sums(sentence: string): Promise<void> {
    await this.page.locator("#summary").filter({ hasText: sentence }).waitFor();
  }

  /** Waits for the words of an element. */
  async says(selector: string, words: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: words }).waitFor({ state: "attached" });
  }

  /** What the rows of a tile's log say, the oldest first; a gap says its reason and `from – to`. */
  async rows(name: FeedName): Promise<string[]> {
    const newestFirst = await this.tile(name).locator(".row-data").allTextContents();
    return newestFirst.toReversed();
  }

  /** Sends a message as a reader would. */
  async post(message: string): Promise<void> {
    await this.page.fill("#message", message);
    await this.page.click("#send");
  }
}
