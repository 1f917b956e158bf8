# The server with all it needs. Build: docker build -t sse-server .
FROM oven/bun:1.4.5-slim AS packages
WORKDIR /app
COPY . .
RUN bun install --frozen-lockfile --production

FROM oven/bun:1.4.5-slim
WORKDIR /app
COPY --from=packages /app ./
# For a log in a file, which is the default: mount a volume here.
RUN mkdir data && chown bun:bun data
USER bun
ENV NODE_ENV=production HOST=0.0.0.0
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["bun", "-e", "process.exit((await fetch('http://127.0.0.1:3000/healthz')).ok ? 0 : 1)"]
# Its own process 1, so that SIGTERM reaches it and it drains.
CMD ["bun", "apps/server/src/main.ts"]
