/** What browsers are told, whom the server believes, and how long it waits for a client: headers, CORS, the proxy in front, timeouts. */

import type { IncomingMessage } from 'node:http';
import cors from '@fastify/cors';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyInstance, FastifyServerOptions, onRequestHookHandler } from 'fastify';
import helmet, { type HelmetOptions } from 'helmet';
import { RECEIVE_TIMEOUT_MS } from '../../graphql/limits.js';
import type { HttpConnectionLimits } from '../../platform/http-connection-limits.js';
import { MINUTE, SECOND } from '../../std/time.js';
import { OfferedMessage } from './upgrade-offers.js';

/** A client has this long to send its headers; for the whole request see limits.ts. */
const HEADERS_TIMEOUT_MS = 10 * SECOND;
const CHECK_EVERY_MS = 2 * SECOND;
const CORS_MAX_AGE_S = (10 * MINUTE) / SECOND;
/** Readable by pages of other origins. */
const EXPOSED = [
  'Age',
  'Cache-Control',
  'ETag',
  'Retry-After',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Server-Timing',
];

export interface HttpSecurityOptions {
  readonly production: boolean;
  /** Whose pages may call the API from a browser. Default: nobody's but our own. */
  readonly corsOrigins?: readonly string[];
  /** The addresses of proxies that are believed to tell a request's own. Default: none. */
  readonly trustProxy?: readonly string[] | undefined;
  /** Default: see http-connections.ts. */
  readonly httpConnections?: Partial<HttpConnectionLimits>;
}

export function serverOptions({ trustProxy }: HttpSecurityOptions) {
  return {
    requestTimeout: RECEIVE_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      IncomingMessage: OfferedMessage,
    },
    trustProxy: trustProxy === undefined ? false : [...trustProxy],
  } satisfies FastifyServerOptions & { http: object };
}

type TrustOptions = Pick<HttpSecurityOptions, 'trustProxy'>;

/** @returns whether an address is that of a trusted proxy */
export function trustsOf({ trustProxy }: TrustOptions): (address: string) => boolean {
  const trusts = trustProxy && proxyAddr.compile([...trustProxy]);
  return (address) => trusts?.(address, 0) ?? false;
}

/** @returns the address that a request comes from, as Fastify has it in `request.ip`: for upgrades, which it does not handle. */
export function addressOf(options: TrustOptions): (request: IncomingMessage) => string {
  const trusts = trustsOf(options);
  return (request) => proxyAddr(request, trusts) ?? ''; // none any more: whoever asked is gone
}

export async function addHttpSecurity(app: FastifyInstance, options: HttpSecurityOptions): Promise<void> {
  // Made once: Fastify's plugin for it would make it anew for every request.
  const secured = helmet({
    // Answers are data: nothing in them is to be run, shown in a frame, or loaded.
    contentSecurityPolicy: csp({ 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] }),
    strictTransportSecurity: options.production ? { maxAge: 365 * 24 * 60 * 60 } : false,
    xPoweredBy: true, // removes it
  });
  app.addHook('onRequest', (request, reply, next) => secured(request.raw, reply.raw, next as () => void));
  const { corsOrigins = [] } = options;
  if (corsOrigins.length > 0) {
    if (!options.production) allowPrivateNetwork(app, corsOrigins);
    await app.register(cors, {
      origin: [...corsOrigins],
      methods: ['GET', 'POST'],
      exposedHeaders: EXPOSED,
      maxAge: CORS_MAX_AGE_S,
    });
  }
}

/** Browsers that guard private networks ask once more before a public page may reach into one: here, a server on this machine. */
function allowPrivateNetwork(app: FastifyInstance, origins: readonly string[]): void {
  app.addHook('onRequest', async ({ headers }, reply) => {
    const asks = headers['access-control-request-private-network'] === 'true';
    if (asks && headers.origin !== undefined && origins.includes(headers.origin)) {
      reply.header('access-control-allow-private-network', 'true');
    }
  });
}

/** For the explorer's pages, whose scripts stand in the page: Sandbox's are Apollo's, the other's our own. */
export const sandboxPolicy = policyOfRoute({
  'default-src': ["'self'"],
  'script-src': ["'unsafe-inline'", 'https://embeddable-sandbox.cdn.apollographql.com'],
  'style-src': ["'self'", "'unsafe-inline'", 'https:'],
  'img-src': ["'self'", 'data:', 'https:'],
  'font-src': ["'self'", 'data:', 'https:'],
  'frame-src': ['https://sandbox.embed.apollographql.com', 'https://explorer.embed.apollographql.com'],
  'connect-src': ["'self'", 'https://*.apollographql.com'],
  'frame-ancestors': ["'none'"],
});

export const offlinePolicy = policyOfRoute({
  'default-src': ["'self'"],
  'script-src': ["'self'", "'unsafe-inline'", 'blob:'],
  'worker-src': ["'self'", 'blob:'],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'", 'data:'],
  'connect-src': ["'self'", 'data:'],
  'frame-ancestors': ["'none'"],
});

/** In place of the policy of all answers. */
function policyOfRoute(directives: Record<string, string[]>): { onRequest: onRequestHookHandler } {
  const policy = helmet.contentSecurityPolicy(csp(directives));
  return { onRequest: (request, reply, next) => policy(request.raw, reply.raw, next as () => void) };
}

/** Nothing but what is named: helmet's own directives would turn local pages to HTTPS. */
function csp(directives: Record<string, string[]>): HelmetOptions['contentSecurityPolicy'] & object {
  return { useDefaults: false, directives: { 'base-uri': ["'none'"], 'form-action': ["'self'"], ...directives } };
}
