/**
 * What an operator watches, in Prometheus's text format: the process, the cache, and documents that the manifest lacks.
 */
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import type { Cache, CacheEvents } from '../engine/cache/index.js';
import { cacheMetrics } from '../engine/metrics/index.js';
import type { FenceEvents, RelayEvents } from '../engine/postgres/index.js';
import { shared } from '../std/shared.js';

export interface Metrics {
  readonly events: CacheEvents & RelayEvents & FenceEvents;
  /** A document ran that is not in the manifest. */
  unlistedDocument(): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/** @param cache called when the metrics are read */
export function createMetrics(cache: () => Cache): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const unlisted = new Counter({
    name: 'graphql_unlisted_documents_total',
    help: 'Requests with documents that the manifest lacks.',
    registers: [registry],
  });
  return {
    events: cacheMetrics(registry, cache),
    unlistedDocument: () => unlisted.inc(),
    contentType: registry.contentType,
    text: shared(() => registry.metrics()),
  };
}
