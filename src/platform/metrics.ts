/**
 * What an operator watches, in Prometheus's text format: the process, requests, the cache, and documents that the
 * manifest lacks.
 */
import { createRequire } from 'node:module';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import type { Cache, CacheEvents } from '../engine/cache/index.js';
import { cacheMetrics } from '../engine/metrics/index.js';
import type { FenceEvents, RelayEvents } from '../engine/postgres/index.js';
import { shared } from '../std/shared.js';
import { buildInfo, type RequestMetrics, requestMetrics } from './request-metrics.js';

export interface Metrics {
  readonly events: CacheEvents & RelayEvents & FenceEvents;
  /** A document ran that is not in the manifest. */
  unlistedDocument(): void;
  readonly requests: RequestMetrics;
  readonly contentType: string;
  text(): Promise<string>;
}

/** Next to the folder of the sources, and of the build. */
export const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/**
 * @param cache called when the metrics are read
 * @param errorCodes of all errors that clients are sent
 */
export function createMetrics(cache: () => Cache, errorCodes: Iterable<string>): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  buildInfo(registry, version);
  const unlisted = new Counter({
    name: 'graphql_unlisted_documents_total',
    help: 'Requests with documents that the manifest lacks.',
    registers: [registry],
  });
  return {
    events: cacheMetrics(registry, cache),
    unlistedDocument: () => unlisted.inc(),
    requests: requestMetrics(registry, errorCodes),
    contentType: registry.contentType,
    text: shared(() => registry.metrics()),
  };
}
