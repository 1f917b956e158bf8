# The server as a single executable. Build: docker build -t sse-server .
FROM oven/bun:1.4.5-slim AS build
WORKDIR /app
COPY . .
RUN bun install --frozen-lockfile --production && bun apps/server/build.ts /sse

FROM debian:bookworm-slim
WORKDIR /app
COPY --from=build /sse /usr/local/bin/sse
# For a log in a file, which is the default: mount a volume here.
RUN useradd --uid 1000 --no-create-home sse && mkdir data && chown sse:sse data
USER sse
ENV NODE_ENV=production HOST=0.0.0.0
EXPOSE 3000
# The executable is Bun as well, when it is told so. It asks where PORT and SSE_TLS_CERT say; a flag would not be heard here.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["env", "BUN_BE_BUN=1", "sse", "-e", "const { PORT = 3000, SSE_TLS_CERT } = process.env; process.exit((await fetch(`${SSE_TLS_CERT ? 'https' : 'http'}://127.0.0.1:${PORT}/healthz`, { tls: { rejectUnauthorized: false } })).ok ? 0 : 1)"]
# Its own process 1, so that SIGTERM reaches it and it drains.
CMD ["sse"]
