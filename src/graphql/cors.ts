/** Lets Apollo Sandbox, in a browser at Apollo's own address, talk to a server on this machine. In development only. */
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

const SANDBOX_ORIGIN = 'https://studio.apollographql.com';
/** What Sandbox's response tab could not see otherwise. */
const SHOWN_HEADERS = ['age', 'cache-control', 'etag', 'retry-after', 'server-timing'];

export async function allowSandbox(app: FastifyInstance): Promise<void> {
  // Browsers that guard private networks ask once more before a public page may reach into one.
  app.addHook('onRequest', async ({ headers }, reply) => {
    const asks = headers['access-control-request-private-network'] === 'true';
    if (asks && headers.origin === SANDBOX_ORIGIN) reply.header('access-control-allow-private-network', 'true');
  });
  // Headers are allowed as asked for: `authorization`, `x-cache-trace`, and whatever else a user types into Sandbox.
  await app.register(cors, { origin: [SANDBOX_ORIGIN], methods: ['GET', 'POST'], exposedHeaders: SHOWN_HEADERS });
}
