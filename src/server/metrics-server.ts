/** /metrics, /healthz and /readyz on an address of their own, for those who can reach it: no token is asked for. */
import fastify, { type FastifyInstance } from 'fastify';
import { SECOND } from '../std/time.js';
import { addHealthRoutes, type HealthOptions, type MetricsText } from './http/service-routes.js';

/** Far more than scrapers and load balancers open. */
const MAX_CONNECTIONS = 100;
const MAX_BODY_BYTES = 1024;

/** @returns a server that does not listen yet */
export function createMetricsServer({
  metrics,
  readiness,
}: HealthOptions & { readonly metrics: MetricsText }): FastifyInstance {
  const app = fastify({
    requestTimeout: 10 * SECOND,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  addHealthRoutes(app, { readiness });
  return app;
}
