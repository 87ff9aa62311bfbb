/**
 * HTTP caching of the API's responses. Only a successful GET query can be cached, by browsers, which must revalidate it
 * each time. Its ETag is a digest of the exact bytes, so "not modified" is as accurate as the response.
 */
import { createHash } from 'node:crypto';
import type { ApolloServerPlugin } from '@apollo/server';
import type { FastifyInstance } from 'fastify';
import type { Context } from '../../graphql/context.js';

const REVALIDATE = 'private, no-cache';
const NEVER = 'no-store';
/** Request headers that a response depends on, in addition to the URL. */
const VARY = 'Accept, Accept-Encoding, Authorization, X-Consistency, X-Cache-Trace, Apollo-Cache-Debugging';

/** Marks responses that HTTP caches can store. */
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

/** Adds ETags, 304 responses and timing headers to responses at `path`. */
export function addHttpCache(app: FastifyInstance, path: string): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.routeOptions.url !== path) return payload;
    // Not `reply.elapsedTime`: without a logger of its own Fastify does not record when a request arrived, and returns 0.
    const elapsedMs = performance.now() - request.apiRequest.startedMs;
    reply.header('server-timing', `total;dur=${elapsedMs.toFixed(2)}`);
    const mayKeep = reply.statusCode === 200 && reply.getHeader('cache-control') === REVALIDATE;
    if (!mayKeep || typeof payload !== 'string') {
      reply.header('cache-control', NEVER);
      return payload;
    }
    const etag = `"${createHash('sha256').update(payload).digest('base64url')}"`;
    const vary = reply.getHeader('vary'); // set by CORS
    reply.header('etag', etag).header('vary', vary === undefined ? VARY : `${vary}, ${VARY}`);
    if (!names(request.headers['if-none-match'], etag)) return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    return null;
  });
}

/** Whether a client's `If-None-Match` contains this ETag, by the weak comparison of RFC 9110. */
function names(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim()));
}
