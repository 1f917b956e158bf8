import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

/** Where Debian's nginx and libnginx-mod-nchan are. */
const MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PATH = `${Bun.env["PATH"]}:/usr/sbin`;

const CONNECTIONS = 65_536;

function configuration(port: number): string {
  return `
load_module ${MODULE};
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? "user root;" : ""}
pid nginx.pid;
error_log stderr error;
events {
  worker_connections ${CONNECTIONS};
}
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 120s;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  nchan_shared_memory_size 256m;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /publish {
      nchan_publisher http;
      nchan_channel_id $arg_topic;
      nchan_message_buffer_length 10000;
      nchan_message_timeout 5m;
    }
    location = /events {
      nchan_subscriber eventsource;
      nchan_channel_id $arg_topic;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 15;
    }
  }
}
`;
}

async function workersOf(master: number): Promise<number[]> {
  const children = Bun.file(`/proc/${master}/task/${master}/children`);
  for (;;) {
    const workers = (await children.text()).trim();
    if (workers !== "") return workers.split(" ").map(Number);
    await Bun.sleep(5);
  }
}

export const nchan: Peer = {
  name: "nchan",
  about:
    "nginx with the Nchan module, one worker: a buffer of messages for each channel, a send for each event and client",
  topics: true,
  resumes: true,
  prepare() {
    if (Bun.which("nginx", { PATH }) === null) return Promise.resolve("nginx is not installed");
    return Promise.resolve(existsSync(MODULE) ? null : "libnginx-mod-nchan is not installed");
  },
  async start(port) {
    const prefix = await mkdtemp(join(tmpdir(), "sse-bench-nchan-"));
    await mkdir(join(prefix, "logs"));
    const file = join(prefix, "nginx.conf");
    await Bun.write(file, configuration(port));
    return startServer(port, {
      command: [Bun.which("nginx", { PATH })!, "-p", prefix, "-c", file],
      // The master only waits.
      pids: async (master) => [master, ...(await workersOf(master))],
      stopSignal: "SIGTERM",
      cleanUp: () => rm(prefix, { recursive: true, force: true }),
    });
  },
};
