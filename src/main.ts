/**
 * Starts the server. The only file of the server with side effects on import, and the only one that reads the
 * environment.
 */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type AppOptions, createApp } from './app.js';
import { openStore } from './core.js';
import { checkDatabase, checkDriver } from './database-check.js';
import { EXAMPLE_QUERY } from './development/demo/example-query.js';
import { DEMO_OWNER } from './development/demo/owner.js';
import type { Services } from './development/services.js';
import { SERVER_CONNECTIONS } from './engine/postgres/index.js';
import { tolerateClosedOutput } from './platform/closed-output.js';
import { type Config, isProduction, readConfig } from './platform/config.js';
import { ConfigError } from './platform/config-error.js';
import { configInWords } from './platform/config-words.js';
import { reportFailedStart } from './platform/failed-start.js';
import { createLog, type Log } from './platform/log.js';
import type { Address } from './platform/observation-config.js';
import { Interrupted, Shutdown } from './platform/shutdown.js';
import { startTelemetry } from './platform/telemetry.js';
import { linkToPrimary } from './platform/worker-link.js';
import { signToken, type TokenOptions, tokenVerifier } from './server/auth/tokens.js';
import { consoleBundle } from './server/http/console-bundle.js';
import { CONSOLE_PATH } from './server/http/console-page.js';
import { createMetricsServer } from './server/metrics-server.js';
import { readManifest } from './server/operations/persisted-documents.js';
import { SECOND } from './std/time.js';
import { primaryLimits, startWorkers } from './workers.js';

/** Fraction of hits that are compared with Postgres. */
const MONITOR_SHARE = 1 / 10_000;

/** The demo token is an operator's, too: the console shows everything. */
const DEMO_SCOPES = ['cache:admin', 'cache:trace'];

/** Time for private servers to end: killed, PostgreSQL would have to recover at the next start. */
const SERVICES_STOP_MS = 10 * SECOND;

/** What listening fails with if the host is not one of this machine's. */
const NO_SUCH_ADDRESS: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL']);

tolerateClosedOutput();

let shutdown: Shutdown | undefined;
let logStop = () => {};
/** Absent unless this process is one of several WORKERS. */
const link = linkToPrimary((now) => {
  // A signal may have come before, to all processes at once: it is not a second one.
  if (now || shutdown?.begun !== true) void stop('the primary process');
});
let log: Log | undefined;
try {
  const config = readConfig(process.env);
  log = link ? createLog(config.logLevel).child({ worker: link.number }) : createLog(config.logLevel);
  const isPrimary = link === undefined && config.workers > 1;
  shutdown = new Shutdown(isPrimary ? primaryLimits(config.shutdown) : config.shutdown, log);
  process.on('SIGTERM', () => void stop('SIGTERM'));
  // Ctrl-C reaches all processes of the terminal; the primary stops its workers.
  process.on('SIGINT', () => {
    if (link === undefined) void stop('SIGINT');
  });
  if (config.environment === 'production') process.on('uncaughtException', endOfProcess);
  if (link === undefined) log.info(configInWords(config), 'starting');
  await start(config, log, shutdown);
} catch (error) {
  // A start that is interrupted may fail, because what it uses is stopped.
  if (!(error instanceof Interrupted) && shutdown?.begun !== true) {
    reportFailedStart(error, { production: isProduction(process.env) });
    process.exitCode = 1;
  }
  await exit();
}

async function stop(reason: string): Promise<void> {
  const startedMs = performance.now();
  if (shutdown?.begun !== true) {
    logStop = () => {
      const ms = Math.round(performance.now() - startedMs);
      log?.info({ reason, ms, upSeconds: Math.round(process.uptime()) }, 'stopped');
    };
  }
  await exit();
}

/** Exits even if something keeps the event loop alive, such as the channel to a parent process. */
async function exit(): Promise<void> {
  const clean = await (shutdown?.end() ?? true);
  logStop();
  await link?.sendSamples();
  process.exit(clean ? process.exitCode : 1);
}

function endOfProcess(error: unknown): void {
  log?.fatal({ err: error }, 'uncaught exception');
  process.exit(1);
}

async function start(config: Config, log: Log, shutdown: Shutdown): Promise<void> {
  await checkDriver();
  const production = config.environment === 'production';
  if (link !== undefined) {
    // The primary has checked the environment, and started what it does not name.
    const persistedDocuments = await readPersistedDocuments(config);
    await serve({ config, services: givenServices(config), log, shutdown, persistedDocuments });
    return;
  }
  const persistedDocuments = await readPersistedDocuments(config);
  const places = placesOf(config);
  await requireFreePort(places.api);
  if (places.metrics !== undefined) await requireFreePort(places.metrics);
  if (config.databaseUrl !== undefined) {
    await checkDatabase(config.databaseUrl, log, { migrates: !production, connections: SERVER_CONNECTIONS });
  }
  const services = production ? givenServices(config) : await developmentServices(config, shutdown);
  const from = { config, services, log, shutdown };
  const { token: served, ...urls }: Serving = await (config.workers > 1
    ? startWorkers({ ...from, onGivenUp })
    : serve({ ...from, persistedDocuments }));
  if (production) log.info({ ...urls, workers: config.workers }, 'listening');
  else {
    const token = served ?? (await demoToken(services.databaseUrl, tokenOptions(config, services, log)));
    const consoleUrl = config.console ? `${urls.url}${CONSOLE_PATH}` : undefined;
    printAddresses({ ...urls, consoleUrl }, services, token);
  }
}

function onGivenUp(): void {
  process.exitCode = 1;
  void exit();
}

interface Started {
  readonly config: Config;
  readonly services: Services;
  readonly log: Log;
  readonly shutdown: Shutdown;
}

interface Servable extends Started {
  readonly persistedDocuments: AppOptions['persistedDocuments'];
}

/** Where the API and, if it has an address of its own, /metrics are served. */
interface Urls {
  readonly url: string;
  readonly metricsUrl?: string | undefined;
}

interface Serving extends Urls {
  /** Of the explorer and the console. Absent: they have none, or workers have one each. */
  readonly token?: string | undefined;
}

/** Serves in this process. */
async function serve({ config, services, log, shutdown, persistedDocuments }: Servable): Promise<Serving> {
  const telemetry = config.telemetry && (await startTelemetry(config.telemetry, log));
  if (telemetry !== undefined) shutdown.add(telemetry);
  const tokens = tokenOptions(config, services, log);
  // The fault of one request must not end all others. No rejection is known to be left unhandled; if there is one, it
  // is logged.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));
  const store = await openStore(services.redis, log, { group: services.redisGroup, fencePolicy: config.fencePolicy });
  shutdown.add({ stop: () => store.close() });
  const token = config.environment === 'production' ? undefined : await demoToken(services.databaseUrl, tokens);
  const app = await createApp({
    ...appOptions(config, services),
    store,
    log,
    ...(persistedDocuments && { persistedDocuments }),
    verifyToken: tokenVerifier(tokens),
    ...(token !== undefined && { explorer: { token, document: EXAMPLE_QUERY } }),
    ...(link && { metricsText: link.metricsText }),
    ...(config.console && { console: { token, document: EXAMPLE_QUERY, bundle: consoleBundle } }),
  });
  const metricsServer = createMetricsServer({
    readiness: app.readiness,
    metrics: { ...app.metrics, ...(link && { text: link.metricsText }) },
  });
  link?.readSamplesBy(app.metrics.samples);
  telemetry?.sendMetrics(app.metrics.samples);
  shutdown.add({
    drain: () => app.drain(),
    async stop() {
      await app.close(); // the metrics show it until it has ended
      await metricsServer.close();
    },
    cut: () => app.server.server.closeAllConnections(),
  });
  const places = placesOf(config);
  // The API first: the primary takes a worker's first address for that.
  const url = await listen(app.server, places.api);
  return { token, url, metricsUrl: places.metrics && (await listen(metricsServer, places.metrics)) };
}

async function readPersistedDocuments({
  persistedDocuments: listed,
}: Config): Promise<AppOptions['persistedDocuments']> {
  return listed && { mode: listed.mode, manifest: await readManifest(listed.path) };
}

function tokenOptions(config: Config, services: Services, log: Log): TokenOptions {
  return {
    tokens: services.tokens,
    issuer: config.issuer,
    audience: config.audience,
    algorithms: config.access.algorithms,
    keySet: { onFailure: (error) => log.warn({ err: error }, 'the token keys could not be fetched') },
  };
}

/** The options that the environment decides. */
function appOptions(config: Config, { databaseUrl, redis, redisGroup: group, tokens }: Services) {
  const production = config.environment === 'production';
  const { rateLimit } = config.access;
  return {
    databaseUrl,
    exportSecret: config.exportSecret ?? (tokens.kind === 'secret' ? tokens.secret : undefined),
    checkCoverage: !production,
    fencePolicy: config.fencePolicy,
    nearCacheBytes: config.nearCacheBytes,
    historyDays: config.historyDays,
    pools: config.pools,
    maxLoads: config.maxLoads,
    maxResponseBytes: config.maxResponseBytes,
    maxUnreadBytes: config.maxUnreadBytes,
    monitorShare: MONITOR_SHARE,
    production,
    trashDays: config.trashDays,
    webhooks: { deliver: true, allowPrivate: config.webhookAllowPrivate },
    compression: config.compression,
    loggedRequests: config.loggedRequests,
    slowOperationMs: config.slowOperationMs,
    slowStatementMs: config.slowStatementMs,
    knownOperations: config.knownOperations,
    introspection: config.introspection,
    publicUrl: config.publicUrl,
    ...config.access,
    subscriptionLimits: config.subscriptionLimits,
    rateLimit: rateLimit && { ...rateLimit, redis, group },
  };
}

function printAddresses(
  { url, metricsUrl, consoleUrl }: Urls & { consoleUrl: string | undefined },
  { described }: Services,
  token: string | undefined,
): void {
  console.log(`API       ${url}/graphql
Explorer  ${url}/
Console   ${consoleUrl ?? 'off (CONSOLE)'}
Board     npm run board
Metrics   ${metricsUrl ?? url}/metrics
Postgres  ${described.postgres}
Redis     ${described.redis}
Token     ${token}`);
}

/** Those that the environment names. */
function givenServices({ databaseUrl, redis, redisGroup, tokens }: Config): Services {
  // readConfig refuses a production environment without them, and a primary process passes them to its workers.
  const required = { databaseUrl, redis, redisGroup, tokens } as Omit<Services, 'described' | 'stop'>;
  return { ...required, described: { postgres: 'DATABASE_URL', redis: 'REDIS_URL' }, stop: async () => {} };
}

/** Imported dynamically, because production has neither the embedded servers nor the demo data. */
async function developmentServices(config: Config, shutdown: Shutdown): Promise<Services> {
  const { ownServices } = await import('./development/services.js');
  const { prepareDemo } = await import('./development/demo/prepare.js');
  const services = await ownServices(config);
  shutdown.add({ stop: () => services.stop(), ownMs: SERVICES_STOP_MS });
  await prepareDemo(services);
  return services;
}

async function demoToken(databaseUrl: string, tokens: Parameters<typeof signToken>[0]): Promise<string | undefined> {
  if (tokens.tokens.kind !== 'secret') return undefined;
  const { userIdOf } = await import('./development/demo/prepare.js');
  const owner = await userIdOf(databaseUrl, DEMO_OWNER);
  return owner && (await signToken({ ...tokens, scopes: DEMO_SCOPES }, owner, '12h'));
}

/** What a server listens on, with the names of the variables that say where. */
interface Place extends Address {
  readonly portName: 'PORT' | 'METRICS_PORT';
  readonly hostName: 'HOST' | 'METRICS_HOST';
}

function placesOf({ host, port, metricsAddress }: Config): { api: Place; metrics: Place | undefined } {
  const metrics =
    metricsAddress && ({ ...metricsAddress, portName: 'METRICS_PORT', hostName: 'METRICS_HOST' } as const);
  return { api: { host, port, portName: 'PORT', hostName: 'HOST' }, metrics };
}

/** Told at once, and not when the database and the demo data are ready. @throws ConfigError */
async function requireFreePort(place: Place): Promise<void> {
  const probe = createServer();
  await listenAs(place, async (at) => {
    probe.listen(at);
    await once(probe, 'listening');
  });
  probe.close();
  await once(probe, 'close');
}

function listen(server: FastifyInstance, place: Place): Promise<string> {
  return listenAs(place, (at) => server.listen(at));
}

/** @throws ConfigError if host or port cannot be had */
async function listenAs<T>(
  { host: given, port, portName, hostName }: Place,
  open: (at: { host: string; port: number }) => Promise<T>,
): Promise<T> {
  // For the name `localhost`, Fastify opens a server for each of its addresses. All but the first have neither the
  // limits of connections nor WebSockets.
  const host = given === 'localhost' ? '127.0.0.1' : given;
  try {
    return await open({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new ConfigError(`${portName}: expected a free port, but ${port} is in use on ${host}`);
    }
    if (code === undefined || !NO_SUCH_ADDRESS.has(code)) throw error;
    throw new ConfigError(`${hostName}: expected a name or address of this machine, got ${host} (${code})`);
  }
}
