/**
 * Starts the server. The only file of the server with side effects on import, and the only one that reads the
 * environment.
 */

import { checkDatabase, checkDriver } from './database-check.js';
import type { Services } from './development/services.js';
import { SERVER_CONNECTIONS } from './engine/postgres/index.js';
import { tolerateClosedOutput } from './platform/closed-output.js';
import { type Config, isProduction, readConfig } from './platform/config.js';
import { configInWords } from './platform/config-words.js';
import { CONSOLE_PATH } from './platform/console-path.js';
import { reportFailedStart } from './platform/failed-start.js';
import { placesOf, requireFreePort } from './platform/listen.js';
import { createLog, type Log } from './platform/log.js';
import { Interrupted, Shutdown } from './platform/shutdown.js';
import { linkToPrimary } from './platform/worker-link.js';
import type { ServeOptions, Serving, Urls } from './serve.js';
import { SECOND } from './std/time.js';
import { primaryLimits, startWorkers } from './workers.js';

/** Time for private servers to end: killed, PostgreSQL would have to recover at the next start. */
const SERVICES_STOP_MS = 10 * SECOND;

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
    await serve({ config, services: givenServices(config), log, shutdown, link, persistedDocuments });
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
    : serve({ ...from, link, persistedDocuments }));
  if (production) log.info({ ...urls, workers: config.workers }, 'listening');
  else {
    const token = served ?? (await tokenOfDemo(from));
    const consoleUrl = config.console ? `${urls.url}${CONSOLE_PATH}` : undefined;
    printAddresses({ ...urls, consoleUrl }, services, token);
  }
}

function onGivenUp(): void {
  process.exitCode = 1;
  void exit();
}

/** Loads the modules of the server: see serve.ts. */
async function serve(options: ServeOptions): Promise<Serving> {
  const server = await import('./serve.js');
  return server.serve(options);
}

async function readPersistedDocuments({
  persistedDocuments: listed,
}: Config): Promise<ServeOptions['persistedDocuments']> {
  if (listed === undefined) return undefined;
  const { readManifest } = await import('./server/operations/persisted-documents.js');
  return { mode: listed.mode, manifest: await readManifest(listed.path) };
}

async function tokenOfDemo({ config, services, log }: Pick<ServeOptions, 'config' | 'services' | 'log'>) {
  const { demoToken, tokenOptions } = await import('./demo-token.js');
  return demoToken(services.databaseUrl, tokenOptions(config, services, log));
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
