# The API as an image: compiled code and what it needs to run, as an unprivileged user. The same image has the command
# tasks, which migrates the database (tasks migrate).

FROM node:26-bookworm-slim AS base
WORKDIR /app
# .npmrc is there or not; a pattern without a match is no error beside files that exist.
COPY package.json package-lock.json .npmrc* ./
# The engine is a workspace: the lock file names it.
COPY src/engine/package.json src/engine/
# Applied to node_modules by the install itself.
COPY patches patches

FROM base AS build
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY src src
RUN npm run build

FROM base AS dependencies
# With what is optional: the SDK of OpenTelemetry (28 MB), so that a collector need only be named.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --no-audit --no-fund

FROM node:26-bookworm-slim AS runtime
ENV NODE_ENV=production \
    NODE_OPTIONS=--enable-source-maps \
    HOST=0.0.0.0 \
    PORT=4000
WORKDIR /app
# Owned by root: the process can read its code and not change it.
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN ln -s /app/dist/cli/tasks.js /usr/local/bin/tasks
USER node
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Requests die young: with the default of 16 MiB many are still under way when they are collected, which costs a fifth of the CPU.
# Without the second option a cold process teaches V8 that objects of requests live long: see docs/deployment.md.
CMD ["node", "--max-semi-space-size=64", "--no-allocation-site-pretenuring", "dist/main.js"]
