import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDecoder } from "@sse/protocol";
import { makeCertificate } from "../certificate.ts";
import { ServerProcess } from "../server-process.ts";
import { until } from "../sse-client.ts";
import type { Oracle } from "./oracle.ts";
import { SECRET, TOKENS, WITNESS } from "./requests.ts";

const LOOP_WATCH = new URL("loop-watch.ts", import.meta.url).pathname;
const FLAGS = (
  "--max-log-events 25000 --max-log-bytes 12MiB --max-batch 2000 --publish-rate 2000/s --max-streams 300 --max-streams-per-principal 20 " +
  "--max-age 10s --heartbeat 500ms --return-window 100ms --retry 100ms --auth-cookie session --trusted-proxies 127.0.0.1 --max-tickets 500"
).split(" ");
const HEADERS = { authorization: `Bearer ${WITNESS}` };
/** Its address is no other stream's. */
const WITNESS_HEADERS = { ...HEADERS, "x-forwarded-for": "192.0.2.1" };
const TLS = { rejectUnauthorized: false };
/** How long the witness waits before it comes back, in milliseconds. */
const AGAIN = 50;

export interface Memory {
  /** Bytes that are live after a collection, and the objects of requests and streams among them. */
  readonly heap: number;
  readonly live: number;
  /** Bytes that the process has of the machine. */
  readonly resident: number;
}

/** The server as its users run it, with a witness who reads all that it publishes. */
export class ServerUnderTest implements AsyncDisposable {
  readonly #server: ServerProcess;
  readonly #folder: string;
  readonly #abort = new AbortController();
  /** Of the witness. */
  #hasGap = false;
  #lines = 0;
  #settled = 0;

  private constructor(server: ServerProcess, folder: string, oracle: Oracle) {
    this.#server = server;
    this.#folder = folder;
    void this.#watch(oracle);
  }

  /** @param isTls for HTTP/2 */
  static async start(isTls: boolean, oracle: Oracle): Promise<ServerUnderTest> {
    const folder = await mkdtemp(join(tmpdir(), "sse-fuzz-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    if (isTls) makeCertificate(cert, key);
    const env = {
      SSE_TOKENS: TOKENS,
      SSE_JWT_SECRET: SECRET,
      BUN_OPTIONS: `--preload=${LOOP_WATCH}`,
    };
    const flags = isTls ? ["--tls-cert", cert, "--tls-key", key] : [];
    const server = await ServerProcess.startWith(env, ...FLAGS, ...flags);
    const started = new ServerUnderTest(server, folder, oracle);
    await started.settle(oracle);
    started.takeHeld(); // by what it does at its start
    return started;
  }

  get port(): number {
    return this.#server.port;
  }

  /** What the process ended with; null while it runs. */
  get ended(): string | null {
    const { exitCode, signalCode } = this.#server.process;
    return exitCode === null && signalCode === null ? null : `${signalCode ?? exitCode}`;
  }

  /** What the process ends with within so many milliseconds; null when it does not. */
  async endedWithin(milliseconds: number): Promise<string | null> {
    await Promise.race([this.#server.process.exited, Bun.sleep(milliseconds)]);
    return this.ended;
  }

  /** How long the loop was held since this was last asked, each time that is worth telling, in milliseconds. */
  takeHeld(): number[] {
    const lines = this.#server.lines.slice(this.#lines);
    this.#lines = this.#server.lines.length;
    return lines.map((line) => (JSON.parse(line) as { held?: number }).held ?? 0).filter((held) => held > 0);
  }

  /** Waits until all streams but the witness's have gone, and it has everything that was published. */
  async settle(oracle: Oracle): Promise<boolean> {
    await until(async () => (await this.#get<{ streams: number }>("/stats")).streams === 1);
    const data = `~msettled-${++this.#settled}.0~`;
    const response = await fetch(`${this.#server.url}/publish`, {
      method: "POST",
      headers: { ...HEADERS, "content-type": "application/json" },
      body: JSON.stringify({ topic: "settled", data }),
      tls: TLS,
    });
    if (response.status !== 200)
      throw new Error(`the end of a round: ${response.status} ${await response.text()}`);
    await until(() => oracle.has(data));
    const hasGap = this.#hasGap;
    this.#hasGap = false;
    return hasGap;
  }

  /** After a collection. */
  async memory(): Promise<Memory> {
    const before = this.#server.lines.length;
    const told = (): string | undefined =>
      this.#server.lines.slice(before).find((line) => line.includes('"memory"'));
    this.#server.process.kill("SIGUSR2");
    await until(() => told() !== undefined);
    return { ...(JSON.parse(told()!) as Omit<Memory, "resident">), resident: await this.#server.memory() };
  }

  async #get<T>(path: string): Promise<T> {
    return (await (await fetch(this.#server.url + path, { headers: HEADERS, tls: TLS })).json()) as T;
  }

  /** Comes back, as an EventSource does, whatever befalls its stream. */
  async #watch(oracle: Oracle): Promise<void> {
    const decoder = createDecoder({
      onEvent: ({ type, data }) => {
        if (type === "sse:gap") this.#hasGap = true;
        else oracle.published(type, data);
      },
    });
    while (!this.#abort.signal.aborted) {
      try {
        const { lastEventId } = decoder;
        const cursor = lastEventId === "" ? {} : { "last-event-id": lastEventId };
        const request = { headers: { ...WITNESS_HEADERS, ...cursor }, tls: TLS, signal: this.#abort.signal };
        const { status, body } = await fetch(`${this.#server.url}/events?topic=**&replay=all`, request);
        if (status === 200) for await (const chunk of body!) decoder.feed(chunk);
      } catch {
        // Cut off.
      }
      decoder.reset();
      await Bun.sleep(AGAIN);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#server[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}
