/** A round trip to Redis as a span, by OpenTelemetry's conventions for databases. */
import { SpanKind } from '@opentelemetry/api';
import type { Cluster, Redis } from 'ioredis';
import type { SpanDescription } from '../cache/spans.js';

/** @param step the protocol's name for the trip: one may be several commands, or a script */
export function redisSpan(step: string, client: Redis | Cluster): SpanDescription {
  return {
    name: `redis ${step}`,
    kind: SpanKind.CLIENT,
    attributes: { 'db.system.name': 'redis', 'db.operation.name': step, ...addressOf(client) },
  };
}

/** Not of a Cluster, nor behind Sentinels: which server answers is known to ioredis alone. */
function addressOf(client: Redis | Cluster) {
  if (!('db' in client.options)) return {};
  const { host = '', port = 0, db = 0, path, sentinels } = client.options;
  const database = { 'db.namespace': String(db) };
  if (sentinels) return database;
  return path ? { ...database, 'server.address': path } : { ...database, 'server.address': host, 'server.port': port };
}
