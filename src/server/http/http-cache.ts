/**
 * What HTTP's own caches may do with answers of the API: nothing, but for a successful query by GET, which a browser may keep
 * and must ask about each time. Its ETag is a digest of the very bytes, so "not modified" is as true as the answer would be.
 */
import { createHash } from 'node:crypto';
import type { ApolloServerPlugin } from '@apollo/server';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Context } from '../../graphql/context.js';

const REVALIDATE = 'private, no-cache';
const NEVER = 'no-store';
/** What besides the address an answer depends on. */
const VARY = 'Accept, Authorization, X-Consistency, X-Cache-Trace, Apollo-Cache-Debugging';

/** Marks what may be kept. */
export function httpCachePlugin(): ApolloServerPlugin<Context> {
  return {
    requestDidStart: async () => ({
      willSendResponse: async ({ request, response, operation }) => {
        const { body, http } = response;
        const whole = body.kind === 'single' && body.singleResult.errors === undefined;
        const mayKeep = request.http?.method === 'GET' && operation?.operation === 'query' && whole;
        http.headers.set('cache-control', mayKeep ? REVALIDATE : NEVER);
      },
    }),
  };
}

/** Gives what leaves at `path` its ETag or 304, and tells how long it took. */
export function addHttpCache(app: FastifyInstance, path: string): void {
  // Not `reply.elapsedTime`: without a logger of its own Fastify does not note when a request came, and tells 0.
  const cameAtMs = new WeakMap<FastifyRequest, number>();
  app.addHook('onRequest', async (request) => {
    cameAtMs.set(request, performance.now());
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.routeOptions.url !== path) return payload;
    const nowMs = performance.now();
    reply.header('server-timing', `total;dur=${(nowMs - (cameAtMs.get(request) ?? nowMs)).toFixed(2)}`);
    const mayKeep = reply.statusCode === 200 && reply.getHeader('cache-control') === REVALIDATE;
    if (!mayKeep || typeof payload !== 'string') {
      reply.header('cache-control', NEVER);
      return payload;
    }
    const etag = `"${createHash('sha256').update(payload).digest('base64url')}"`;
    const vary = reply.getHeader('vary'); // of CORS
    reply.header('etag', etag).header('vary', vary === undefined ? VARY : `${vary}, ${VARY}`);
    if (!names(request.headers['if-none-match'], etag)) return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    return null;
  });
}

/** Whether a client's `If-None-Match` names this ETag, compared weakly as RFC 9110 has it. */
function names(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim()));
}
