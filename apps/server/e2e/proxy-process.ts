import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import type { Subprocess } from "bun";
import { makeCertificate } from "./certificate.ts";

const CONFIGS = new URL("../../../docs/deploy/", import.meta.url).pathname;

export const PROXIES = ["nginx.conf", "nginx-tls.conf", "Caddyfile", "Caddyfile.nodes"] as const;
export type ProxyConfig = (typeof PROXIES)[number];

function programOf(config: ProxyConfig): "nginx" | "caddy" {
  return config.startsWith("nginx") ? "nginx" : "caddy";
}

/** What a test says of itself when its program is missing, else "". */
export function missingFor(config: ProxyConfig): string {
  const absent = [programOf(config), "openssl"].find((program) => Bun.which(program) === null);
  return absent === undefined ? "" : ` (skipped: ${absent} is not installed)`;
}

/** The name that clients use. */
const NAME = "sse.example.com";
const LOCAL_NAMES = "http://localhost:8080, http://127.0.0.1:8080";
/** What a Caddy answers who comes by another name, where there is no TLS that knows the name. */
const REFUSAL = /http:\/\/:8080 \{[^}]*\}/;
const UPSTREAM = /  upstream nodes \{[^}]*\}/;

/** nginx or Caddy with a configuration of docs/deploy, but for its addresses, and times that a test can wait for. */
export class ProxyProcess implements AsyncDisposable {
  readonly url: string;
  readonly #process: Subprocess;
  readonly #command: string[];
  readonly #folder: string;

  private constructor(url: string, command: string[], folder: string) {
    this.url = url;
    this.#command = command;
    this.#folder = folder;
    const start = command[0] === "nginx" ? command : ["caddy", "run", ...command.slice(1)];
    this.#process = Bun.spawn(start, {
      stdout: "ignore",
      stderr: Bun.file(join(folder, "stderr")),
      env: { ...Bun.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, HOME: folder },
    });
  }

  /**
   * @param nodes ports; a configuration for three nodes is given them in turn
   * @param withTls puts TLS before a configuration without it, as docs/deploy/README.md says
   */
  static async start(
    config: ProxyConfig,
    nodes: readonly number[],
    { withTls = config === "nginx-tls.conf" || config === "Caddyfile" } = {},
  ): Promise<ProxyProcess> {
    const [port, admin] = [await freePort(), await freePort()];
    const folder = await mkdtemp(join(tmpdir(), "proxy-"));
    const cert = join(folder, "cert.pem");
    const key = join(folder, "key.pem");
    makeCertificate(cert, key);
    let text = await Bun.file(join(CONFIGS, config)).text();
    if (withTls && config === "nginx.conf") {
      const [upstream] = UPSTREAM.exec(text)!;
      text = (await Bun.file(join(CONFIGS, "nginx-tls.conf")).text()).replace(UPSTREAM, upstream);
    }
    if (withTls) text = text.replace(REFUSAL, "").replace(LOCAL_NAMES, NAME);
    let node = 0;
    text = text
      .replace(/(node[123]|127\.0\.0\.1):3000/g, () => `127.0.0.1:${nodes[node++ % nodes.length]}`)
      .replaceAll(/listen (8080|443)/g, `listen 127.0.0.1:${port}`)
      .replace(/server_name (.*);/, `server_name $1 127.0.0.1 ${NAME};`)
      .replaceAll("/etc/ssl/sse/cert.pem", cert)
      .replaceAll("/etc/ssl/sse/key.pem", key)
      .replace("worker_processes auto", "worker_processes 1")
      .replace("worker_shutdown_timeout 60s", "worker_shutdown_timeout 1s")
      .replace("proxy_read_timeout 60s", "proxy_read_timeout 2500ms")
      .replace(
        "grace_period 60s",
        `grace_period 1s\n\tdefault_bind 127.0.0.1\n\tadmin 127.0.0.1:${admin}\n\tauto_https disable_redirects\n\tskip_install_trust`,
      )
      .replace(
        `${NAME} {`,
        `https://127.0.0.1:${port}, https://sse.example.com:${port} {\n\ttls ${cert} ${key}`,
      )
      .replace(`${LOCAL_NAMES} {`, `http://127.0.0.1:${port}, http://${NAME}:${port} {`)
      .replace(":8080 {", `:${port} {`);
    const path = join(folder, config);
    const isNginx = programOf(config) === "nginx";
    await Bun.write(path, isNginx ? `pid ${folder}/pid;\ndaemon off;\n${text}` : text);
    const command = isNginx
      ? ["nginx", "-p", folder, "-c", path, "-e", `${folder}/error.log`]
      : ["caddy", "--config", path, "--adapter", "caddyfile"];
    return new ProxyProcess(`${withTls ? "https" : "http"}://127.0.0.1:${port}`, command, folder);
  }

  /** Loads the configuration again, as whoever operates the proxy does. */
  async reload(): Promise<void> {
    const command =
      this.#command[0] === "nginx"
        ? [...this.#command, "-s", "reload"]
        : ["caddy", "reload", "--force", ...this.#command.slice(1)];
    const { exited, stderr } = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
    if ((await exited) !== 0) throw new Error(await stderr.text());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
    await rm(this.#folder, { recursive: true });
  }
}
