/** Serves the API in this process. Its modules take a second to load, so main.ts loads it last, and a primary process of several not at all. */
import { type AppOptions, createApp } from './app.js';
import { openStore } from './core.js';
import { demoToken, tokenOptions } from './demo-token.js';
import { EXAMPLE_QUERY } from './development/demo/example-query.js';
import type { Services } from './development/services.js';
import type { Config } from './platform/config.js';
import { listen, placesOf } from './platform/listen.js';
import type { Log } from './platform/log.js';
import type { Shutdown } from './platform/shutdown.js';
import { startTelemetry } from './platform/telemetry.js';
import type { WorkerLink } from './platform/worker-link.js';
import { tokenVerifier } from './server/auth/tokens.js';
import { consoleBundle } from './server/http/console-bundle.js';
import { createMetricsServer } from './server/metrics-server.js';

/** Fraction of hits that are compared with Postgres. */
const MONITOR_SHARE = 1 / 10_000;

/** Where the API and, if it has an address of its own, /metrics are served. */
export interface Urls {
  readonly url: string;
  readonly metricsUrl?: string | undefined;
}

export interface Serving extends Urls {
  /** Of the explorer and the console. Absent: they have none, or workers have one each. */
  readonly token?: string | undefined;
}

export interface ServeOptions {
  readonly config: Config;
  readonly services: Services;
  readonly log: Log;
  readonly shutdown: Shutdown;
  /** Absent unless this process is one of several WORKERS. */
  readonly link: WorkerLink | undefined;
  readonly persistedDocuments: AppOptions['persistedDocuments'];
}

export async function serve(options: ServeOptions): Promise<Serving> {
  const { config, services, log, shutdown, link, persistedDocuments } = options;
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
