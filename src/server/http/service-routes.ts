/** Routes beside the API: metrics, health checks, the explorer and the console. */
import type { FastifyInstance } from 'fastify';
import { CONSOLE_PATH } from '../../platform/console-path.js';
import { type AdmissionOptions, requireScope, type ScopeOptions } from '../admission.js';
import type { EncodingFor } from './compression.js';
import { type ConsoleOptions, serveConsole } from './console-page.js';
import { type ExplorerOptions, offlinePage, sandboxPage } from './explorer.js';
import { accepts } from './graphql-over-http.js';
import { offlinePolicy, sandboxPolicy } from './http-security.js';

const OFFLINE_EXPLORER = '/explorer';
/** The scope that allows reading /metrics in production. */
const METRICS_SCOPE = 'metrics:read';

export interface Readiness {
  readonly postgres: boolean;
  readonly redis: string;
  readonly stopping: boolean;
}

/** Metrics in Prometheus's text format. */
export interface MetricsText {
  readonly contentType: string;
  text(): Promise<string>;
}

export interface HealthOptions {
  /** Whether Postgres responds, the state of Redis, and whether the server is about to stop, for /readyz. */
  readonly readiness: () => Promise<Readiness>;
}

export interface ServiceRoutesOptions extends ScopeOptions, Pick<AdmissionOptions, 'rateLimits'> {
  readonly production: boolean;
  readonly readiness: HealthOptions['readiness'];
  readonly metrics: MetricsText;
  /** Absent: no explorer. */
  readonly explorer?: Pick<ExplorerOptions, 'token' | 'document'>;
  /** Absent: no console. */
  readonly console?: ConsoleOptions;
  readonly encodingFor: EncodingFor;
}

export function addServiceRoutes(app: FastifyInstance, endpoint: string, options: ServiceRoutesOptions): void {
  const { production, rateLimits, metrics, explorer, encodingFor } = options;
  const admit = async (address: string) => {
    if (production) await rateLimits?.checkAddress(address);
  };
  app.get('/metrics', async (request, reply) => {
    await admit(request.ip);
    if (production) await requireScope(options, request.headers, METRICS_SCOPE);
    return reply.type(metrics.contentType).send(await metrics.text());
  });
  if (options.console !== undefined) {
    serveConsole(app, { endpoint, explorer: explorer && '/' }, { ...options.console, admit, encodingFor });
  }
  addHealthRoutes(app, options);
  if (explorer === undefined) return;
  // A person who opens the API's address in a browser.
  app.addHook('onRequest', async ({ method, url, headers }, reply) => {
    const opens = method === 'GET' && url === endpoint && accepts(headers.accept, 'text/html');
    if (opens) return reply.redirect('/');
  });
  const consolePath = options.console && CONSOLE_PATH;
  const pages = { endpoint, fallback: OFFLINE_EXPLORER, consolePath, ...explorer };
  app.get('/', sandboxPolicy, async (_, reply) => reply.type('text/html').send(sandboxPage(pages)));
  app.get(OFFLINE_EXPLORER, offlinePolicy, async (_, reply) => reply.type('text/html').send(offlinePage(pages)));
}

export function addHealthRoutes(app: FastifyInstance, { readiness }: HealthOptions): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const { postgres, redis, stopping } = await readiness();
    const ready = postgres && !stopping;
    return reply
      .code(ready ? 200 : 503)
      .send({ postgres: postgres ? 'up' : 'down', redis, ...(stopping && { server: 'stopping' }) });
  });
}
