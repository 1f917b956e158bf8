import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { CHROMIUM, FLAGS } from "./browser.ts";
import { PATIENCE } from "./sse-client.ts";

/*
 * Chromium by its own protocol. Playwright makes every page believe that it is seen and has the focus, and turns the
 * back/forward cache off: pages are never hidden, frozen or kept then. Here they are.
 */

type Result = Record<string, unknown>;

/** A browser of its own, with a profile of its own. */
export class DevToolsBrowser implements AsyncDisposable {
  readonly #process: Subprocess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #pending = new Map<number, PromiseWithResolvers<Result>>();
  #sent = 0;

  private constructor(process: Subprocess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const { id, result, error } = JSON.parse(data as string) as {
        id?: number;
        result?: Result;
        error?: { message: string };
      };
      const pending = id === undefined ? undefined : this.#pending.get(id);
      if (id !== undefined) this.#pending.delete(id);
      if (error === undefined) pending?.resolve(result!);
      else pending?.reject(new Error(error.message));
    });
  }

  static async launch(): Promise<DevToolsBrowser> {
    const profile = await mkdtemp(join(tmpdir(), "sse-chromium-"));
    const flags = [...FLAGS, "--headless", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
    const process = Bun.spawn([CHROMIUM!, ...flags, "about:blank"], { stdout: "ignore", stderr: "pipe" });
    let text = "";
    for await (const chunk of process.stderr) {
      text += new TextDecoder().decode(chunk);
      const [, url] = /DevTools listening on (ws:\S+)\s/.exec(text) ?? [];
      if (url === undefined) continue;
      const socket = new WebSocket(url);
      await new Promise((resolve, reject) => {
        socket.addEventListener("open", resolve);
        socket.addEventListener("error", reject);
      });
      return new DevToolsBrowser(process, profile, socket);
    }
    throw new Error(`Chromium did not start: ${text}`);
  }

  async send(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    const id = ++this.#sent;
    const pending = Promise.withResolvers<Result>();
    this.#pending.set(id, pending);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return await pending.promise;
  }

  async open(url: string): Promise<DevToolsTab> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new DevToolsTab(this, targetId as string, sessionId as string);
    await tab.goto(url);
    return tab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

export class DevToolsTab {
  readonly #browser: DevToolsBrowser;
  readonly #target: string;
  readonly #session: string;

  constructor(browser: DevToolsBrowser, target: string, session: string) {
    this.#browser = browser;
    this.#target = target;
    this.#session = session;
  }

  send(method: string, params: object = {}): Promise<Result> {
    return this.#browser.send(method, params, this.#session);
  }

  /** Waits until the page is there, from the network or from the back/forward cache. */
  async goto(url: string): Promise<void> {
    await this.send("Page.enable");
    await this.send("Page.navigate", { url });
    await this.waitFor(`location.href === ${JSON.stringify(url)} && document.readyState === "complete"`);
  }

  /** The value of an expression; a promise is waited for. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = (await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: Value }; exceptionDetails?: object };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async waitFor(condition: string): Promise<void> {
    const end = performance.now() + PATIENCE;
    for (;;) {
      // While a page makes room for another, there is nothing to ask.
      const holds = await this.evaluate(`Boolean(${condition})`).catch(() => false);
      if (holds) return;
      if (performance.now() > end) throw new Error(`not within ${PATIENCE} ms: ${condition}`);
      await Bun.sleep(10);
    }
  }

  async setLifecycle(state: "frozen" | "active"): Promise<void> {
    await this.send("Page.setWebLifecycleState", { state });
  }

  /** Makes this the tab that is seen; the one before it is hidden. So does opening a tab. */
  async activate(): Promise<void> {
    await this.#browser.send("Target.activateTarget", { targetId: this.#target });
  }

  crash(): void {
    void this.send("Page.crash").catch(() => {});
  }

  async close(): Promise<void> {
    await this.#browser.send("Target.closeTarget", { targetId: this.#target });
  }
}
