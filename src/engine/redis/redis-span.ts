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

/** Not of a Cluster: which of its nodes answers is known to ioredis alone. */
function addressOf(client: Redis | Cluster) {
  if (!('db' in client.options)) return {};
  const { host = '', port = 0, db = 0 } = client.options;
  return { 'server.address': host, 'server.port': port, 'db.namespace': String(db) };
}
