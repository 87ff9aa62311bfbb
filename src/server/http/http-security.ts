/** HTTP security: response headers, CORS, trusted proxies, and timeouts for slow clients. */

import type { IncomingMessage } from 'node:http';
import cors from '@fastify/cors';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyInstance, FastifyServerOptions, onRequestHookHandler } from 'fastify';
import helmet, { type HelmetOptions } from 'helmet';
import { RECEIVE_TIMEOUT_MS } from '../../graphql/limits.js';
import type { HttpConnectionLimits } from '../../platform/http-connection-limits.js';
import { MINUTE, SECOND } from '../../std/time.js';
import { OfferedMessage } from './upgrade-offers.js';

/** Time limit for a client to send its headers. For the whole request see limits.ts. */
const HEADERS_TIMEOUT_MS = 10 * SECOND;
const CHECK_EVERY_MS = 2 * SECOND;
const CORS_MAX_AGE_S = (10 * MINUTE) / SECOND;
/** Response headers that pages of other origins can read. */
const EXPOSED = [
  'Cache-Control',
  'ETag',
  'Retry-After',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Server-Timing',
  'X-Request-Id',
];

/** In development a frontend may run on any port of this machine. */
const LOCAL_ORIGIN = /^https?:\/\/(([\w-]+\.)*localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

export interface HttpSecurityOptions {
  readonly production: boolean;
  /**
   * Origins of web pages that may call the API from a browser. Default: only its own. Outside production pages of this
   * machine may, too.
   */
  readonly corsOrigins?: readonly string[];
  /** Addresses of proxies whose forwarded client address is trusted. Default: none. */
  readonly trustProxy?: readonly string[] | undefined;
  /** Defaults: see src/platform/http-connection-limits.ts. */
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

/** @returns a function that tests whether an address belongs to a trusted proxy */
export function trustsOf({ trustProxy }: TrustOptions): (address: string) => boolean {
  const trusts = trustProxy && proxyAddr.compile([...trustProxy]);
  return (address) => trusts?.(address, 0) ?? false;
}

/**
 * @returns the client address of a request, like Fastify's `request.ip`, for upgrades, which Fastify does not handle
 */
export function addressOf(options: TrustOptions): (request: IncomingMessage) => string {
  const trusts = trustsOf(options);
  return (request) => proxyAddr(request, trusts) ?? ''; // the address is unknown once the connection is closed
}

export async function addHttpSecurity(app: FastifyInstance, options: HttpSecurityOptions): Promise<void> {
  // Created once: Fastify's plugin would create it for every request.
  const secured = helmet({
    // Responses are data: nothing in them may be executed, framed or loaded.
    contentSecurityPolicy: csp({ 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] }),
    strictTransportSecurity: options.production ? { maxAge: 365 * 24 * 60 * 60 } : false,
    xPoweredBy: true, // removes the header
  });
  app.addHook('onRequest', (request, reply, next) => secured(request.raw, reply.raw, next as () => void));
  const { corsOrigins = [], production } = options;
  const origin = production ? [...corsOrigins] : [...corsOrigins, LOCAL_ORIGIN];
  if (origin.length > 0) {
    if (!production) allowPrivateNetwork(app, corsOrigins);
    await app.register(cors, {
      origin,
      methods: ['GET', 'POST'],
      exposedHeaders: EXPOSED,
      maxAge: CORS_MAX_AGE_S,
    });
  }
}

/**
 * Browsers with private network access checks send another preflight before a public page may access a private network,
 * such as a server on this machine.
 */
function allowPrivateNetwork(app: FastifyInstance, origins: readonly string[]): void {
  app.addHook('onRequest', async ({ headers }, reply) => {
    const asks = headers['access-control-request-private-network'] === 'true';
    if (asks && headers.origin !== undefined && origins.includes(headers.origin)) {
      reply.header('access-control-allow-private-network', 'true');
    }
  });
}

/** For the pages of the explorer, which contain inline scripts: of Apollo for Sandbox, our own for GraphiQL. */
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

/** For the console: its own files and the API, nothing inline. */
export const consolePolicy = policyOfRoute({
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': ["'self'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
});

/** Replaces the default policy on a route. */
function policyOfRoute(directives: Record<string, string[]>): { onRequest: onRequestHookHandler } {
  const policy = helmet.contentSecurityPolicy(csp(directives));
  return { onRequest: (request, reply, next) => policy(request.raw, reply.raw, next as () => void) };
}

/** Only these directives: helmet's defaults would redirect local pages to HTTPS. */
function csp(directives: Record<string, string[]>): HelmetOptions['contentSecurityPolicy'] & object {
  return { useDefaults: false, directives: { 'base-uri': ["'none'"], 'form-action': ["'self'"], ...directives } };
}
