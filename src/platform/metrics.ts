/**
 * What an operator watches, in Prometheus's text format: the process, requests, the cache, and documents that the
 * manifest lacks.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Cache, CacheEvents, LiveRunEnded, LiveState } from '../engine/cache/index.js';
import { cacheMetrics } from '../engine/metrics/index.js';
import type { FenceEvents, OutboxSize, PoolState, RelayEvents } from '../engine/postgres/index.js';
import { shared } from '../std/shared.js';
import { SECOND } from '../std/time.js';
import { version } from './config-words.js';
import { outboxGauges } from './outbox-metrics.js';
import { buildInfo, type RequestMetrics, requestMetrics } from './request-metrics.js';
import { deliveryMetrics, pendingDeliveriesGauge, type WebhookOutcome } from './webhook-metrics.js';
import type { Samples } from './worker-messages.js';

export type { WebhookOutcome };

/** Of this process. */
export interface OpenConnections {
  readonly websockets: number;
  readonly eventStreams: number;
  readonly subscriptions: number;
  readonly live: Pick<LiveState, 'queries' | 'clients' | 'unindexed'>;
}

export const NOTHING_OPEN: OpenConnections = {
  websockets: 0,
  eventStreams: 0,
  subscriptions: 0,
  live: { queries: 0, clients: 0, unindexed: 0 },
};

export interface MetricsOptions {
  /** Called when the metrics are read. */
  readonly cache: () => Cache;
  /** Called when the metrics are read. */
  readonly pools: () => Readonly<Record<'read' | 'write', PoolState>>;
  /** Called when the metrics are read, but seldom. */
  readonly outbox: () => Promise<OutboxSize>;
  /** Deliveries to webhooks that wait. Called when the metrics are read, but seldom. */
  readonly pendingDeliveries: () => Promise<number>;
  /** Of all errors that clients are sent. */
  readonly errorCodes: Iterable<string>;
}

export interface Metrics {
  readonly events: CacheEvents & RelayEvents & FenceEvents;
  /** A document ran that is not in the manifest. */
  unlistedDocument(): void;
  readonly requests: RequestMetrics;
  /** A run of a live query has ended. */
  liveRun(run: LiveRunEnded): void;
  /** An attempt to deliver a message to a webhook has ended. */
  webhookDelivery(outcome: WebhookOutcome): void;
  /** From now on the metrics show what is open. */
  watchConnections(open: () => OpenConnections): void;
  readonly contentType: string;
  text(): Promise<string>;
  /** For the metrics of several processes together. */
  samples(): Promise<Samples>;
}

export function createMetrics({ cache, pools, outbox, pendingDeliveries, errorCodes }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  showWorstProcess(registry);
  buildInfo(registry, version);
  poolGauges(registry, pools);
  outboxGauges(registry, outbox);
  pendingDeliveriesGauge(registry, pendingDeliveries);
  let open = () => NOTHING_OPEN;
  connectionGauges(registry, () => open());
  const unlisted = new Counter({
    name: 'graphql_unlisted_documents_total',
    help: 'Requests with documents that the manifest lacks.',
    registers: [registry],
  });
  return {
    events: cacheMetrics(registry, cache),
    unlistedDocument: () => unlisted.inc(),
    requests: requestMetrics(registry, errorCodes),
    liveRun: liveMetrics(registry),
    webhookDelivery: deliveryMetrics(registry),
    watchConnections: (watched) => {
      open = watched;
    },
    contentType: registry.contentType,
    text: shared(() => registry.metrics()),
    samples: () => registry.getMetricsAsJSON(),
  };
}

/** Of several processes, an average would hide one whose event loop lags. */
function showWorstProcess(registry: Registry): void {
  for (const metric of registry.getMetricsAsArray()) {
    if (metric.aggregator === 'average') metric.aggregator = 'max';
  }
}

function poolGauges(registry: Registry, pools: MetricsOptions['pools']): void {
  const gauge = (name: string, help: string, of: (pool: PoolState) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['pool'],
      registers: [registry],
      collect() {
        for (const [pool, state] of Object.entries(pools())) this.set({ pool }, of(state));
      },
    });
  gauge('tasks_postgres_pool_connections', 'The most connections to Postgres that a pool opens.', ({ size }) => size);
  gauge('tasks_postgres_pool_in_use', 'Connections to Postgres in use, by pool.', ({ inUse }) => inUse);
  gauge(
    'tasks_postgres_pool_waiting',
    'Statements, or transactions that write, that wait for a connection to Postgres.',
    ({ waiting }) => waiting,
  );
}

function connectionGauges(registry: Registry, open: () => OpenConnections): void {
  const gauge = (name: string, help: string, of: (open: OpenConnections) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(of(open()));
      },
    });
  gauge('tasks_websockets_open', 'WebSockets that are open.', ({ websockets }) => websockets);
  gauge('tasks_event_streams_open', 'Responses of server-sent events that are open.', (open) => open.eventStreams);
  gauge('tasks_subscriptions_open', 'Subscriptions that are open.', ({ subscriptions }) => subscriptions);
  gauge('tasks_live_queries_open', 'Live queries; equal ones of a viewer are one.', ({ live }) => live.queries);
  gauge(
    'tasks_live_clients_open',
    'Clients of live queries, each with its own copy of answers.',
    (open) => open.live.clients,
  );
  gauge(
    'tasks_live_queries_unindexed',
    'Live queries that are run every 2 seconds, because what they depend on is more than the index has room for.',
    (open) => open.live.unindexed,
  );
}

const LIVE_RESULTS = ['sent', 'unchanged', 'postponed', 'failed'] as const;
const LIVE_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

function liveMetrics(registry: Registry): Metrics['liveRun'] {
  const registers = [registry];
  const runs = new Counter({
    name: 'tasks_live_runs_total',
    help: 'Runs of live queries, by result: an answer that was sent, one that had not changed, or none: it waits for points, or it failed.',
    labelNames: ['result'],
    registers,
  });
  for (const result of LIVE_RESULTS) runs.inc({ result }, 0);
  const durations = new Histogram({
    name: 'tasks_live_answer_duration_seconds',
    help: 'Time from when a live query had to be answered again until its answer was sent.',
    buckets: LIVE_BUCKETS_S,
    registers,
  });
  return ({ result, dueMs }) => {
    runs.inc({ result });
    if (result === 'sent') durations.observe(dueMs / SECOND);
  };
}
