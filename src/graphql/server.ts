/** HTTP: the API at /graphql, the explorer at /, health at /healthz and /readyz. One request is one context, one set of loads. */
import { randomUUID } from 'node:crypto';
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import fastifyApollo, { fastifyApolloDrainPlugin } from '@as-integrations/fastify';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { GraphQLSchema, OperationDefinitionNode } from 'graphql';
import type { Cache } from '../cache/index.js';
import type { MainDatabase } from '../db/database.js';
import type { UserId } from '../db/ids.js';
import type { Log } from '../log.js';
import { MINUTE } from '../time.js';
import { Tracer } from './cache-trace.js';
import type { Context } from './context.js';
import { allowSandbox } from './cors.js';
import { badUserInput, causeOf, isMasked, maskError, unauthenticated } from './errors.js';
import { gatewayOf } from './executor.js';
import { type ExplorerOptions, offlinePage, sandboxPage } from './explorer.js';
import { Loads } from './loads.js';
import { statusByMediaType } from './over-http.js';

const MAX_BODY_BYTES = 1024 * 1024;
const REQUEST_TIMEOUT_MS = MINUTE;
const ENDPOINT = '/graphql';
const OFFLINE_EXPLORER = '/explorer';
/** `snapshot`: the answer is the database of one moment. */
const CONSISTENCY_HEADER = 'x-consistency';
/** The word in a token's `scope` that lets it ask for cache traces in production. */
const TRACE_SCOPE = 'cache:trace';

/** The word that lets a token read /metrics in production. */
const METRICS_SCOPE = 'metrics:read';

/** What a token says of whoever sent it. */
export interface Identity {
  readonly userId: UserId;
  /** The words of its `scope`. */
  readonly scopes: readonly string[];
}

export interface ServerOptions {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly log: Log;
  /** @throws UNAUTHENTICATED */
  readonly verifyToken: (token: string) => Promise<Identity>;
  /** Before a write: the token may be older than the user's removal. @throws UNAUTHENTICATED */
  readonly requireUser: (id: UserId) => Promise<void>;
  readonly production: boolean;
  /** Whether Postgres answers, and how Redis is: for /readyz. */
  readonly readiness: () => Promise<{ postgres: boolean; redis: string }>;
  /** In Prometheus's text format. */
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Absent: no explorer. */
  readonly explorer?: Pick<ExplorerOptions, 'token' | 'document'>;
}

/** A request's context before its operation is known. */
interface OpenContext extends Context {
  readonly identity: Identity | undefined;
}

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { schema, log, production, explorer } = options;
  const app = fastify({ bodyLimit: MAX_BODY_BYTES, requestTimeout: REQUEST_TIMEOUT_MS, forceCloseConnections: 'idle' });
  const apollo = new ApolloServer<OpenContext>({
    gateway: gatewayOf(schema, options),
    introspection: !production,
    // Nothing to forge: who asks is said by a header that no page can make a browser send along. And urql asks by plain GET.
    csrfPrevention: false,
    includeStacktraceInErrorResponses: false,
    formatError: maskError,
    stopOnTerminationSignals: false, // two stops at once would hang; main.ts has the one
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      fastifyApolloDrainPlugin(app),
      requestPlugin(options),
      statusByMediaType,
    ],
    logger: { debug: () => {}, info: () => {}, warn: (text) => log.warn(text), error: (text) => log.error(text) },
  });
  await apollo.start();

  if (!production) await allowSandbox(app);
  await app.register(fastifyApollo(apollo), {
    path: ENDPOINT,
    method: ['GET', 'POST'],
    context: (request) => openContext(options, request),
  });
  app.get('/metrics', async (request, reply) => {
    if (production) await requireScope(options, request, METRICS_SCOPE);
    return reply.type(options.metrics.contentType).send(await options.metrics.text());
  });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const { postgres, redis } = await options.readiness();
    return reply.code(postgres ? 200 : 503).send({ postgres: postgres ? 'up' : 'down', redis });
  });
  if (explorer !== undefined) {
    const pages = { endpoint: ENDPOINT, fallback: OFFLINE_EXPLORER, ...explorer };
    app.get('/', async (_, reply) => reply.type('text/html').send(sandboxPage(pages)));
    app.get(OFFLINE_EXPLORER, async (_, reply) => reply.type('text/html').send(offlinePage(pages)));
  }
  return app;
}

async function identityOf({ verifyToken }: ServerOptions, request: FastifyRequest): Promise<Identity | undefined> {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : verifyToken(token);
}

/** @throws an error that Fastify answers with 401 or 403 */
async function requireScope(options: ServerOptions, request: FastifyRequest, scope: string): Promise<void> {
  const identity = await identityOf(options, request).catch(() => undefined);
  if (identity?.scopes.includes(scope)) return;
  const statusCode = identity === undefined ? 401 : 403;
  throw Object.assign(new Error(`This needs a token with the scope ${scope}.`), { statusCode });
}

async function openContext(options: ServerOptions, request: FastifyRequest) {
  const { db, cache, production } = options;
  const identity = await identityOf(options, request);
  const mayTrace = !production || identity?.scopes.includes(TRACE_SCOPE) === true;
  const tracer = new Tracer(mayTrace && request.headers['x-cache-trace'] === '1');
  const viewerId = identity?.userId ?? ('' as UserId); // read only after the gate below has seen an identity
  // Fields under a mutation are read from Postgres: they show its outcome, and nothing of it is remembered. Queries get their own.
  const loads = new Loads({ cache, db, viewer: viewerId, bypass: 'mutation', tracer });
  const snapshot = wantsSnapshot(request.headers[CONSISTENCY_HEADER]);
  return { requestId: randomUUID(), identity, viewerId, db, tracer, snapshot, loads } satisfies OpenContext;
}

function wantsSnapshot(header: string | string[] | undefined): boolean {
  if (header === undefined || header === 'snapshot') return header === 'snapshot';
  throw badUserInput(CONSISTENCY_HEADER, `expected snapshot, or no such header, not ${JSON.stringify(header)}`);
}

/** Per request: the gate, the loads that fit the operation, the trace, the log of what is masked. */
function requestPlugin(options: ServerOptions): ApolloServerPlugin<OpenContext> {
  const { log } = options;
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ operation, contextValue }) => {
        const { identity, viewerId } = contextValue;
        if (operation === undefined) return; // Apollo answers that itself
        if (identity === undefined && !isIntrospection(operation)) {
          throw unauthenticated('This needs a token: send the header Authorization: Bearer <token>.');
        }
        if (operation.operation === 'mutation') await options.requireUser(viewerId);
      },
      executionDidStart: async ({ contextValue: { tracer } }) =>
        tracer.enabled ? { willResolveField: ({ info }) => tracer.enter(info) } : {},
      didEncounterErrors: async ({ errors, contextValue: { requestId } }) => {
        for (const error of errors) {
          if (isMasked(error)) log.error({ err: causeOf(error), requestId, path: error.path }, 'a request failed');
        }
      },
      willSendResponse: async ({ response: { body }, contextValue: { tracer, requestId } }) => {
        if (body.kind !== 'single') return;
        const { singleResult } = body;
        if (tracer.enabled) singleResult.extensions = { ...singleResult.extensions, cache: tracer.report() };
        for (const error of singleResult.errors ?? []) {
          if (error.extensions?.['code'] === 'INTERNAL_SERVER_ERROR') Object.assign(error.extensions, { requestId });
        }
      },
    }),
  };
}

/** Only fields of the schema itself, which everyone may read where introspection is on. */
function isIntrospection({ operation, selectionSet }: OperationDefinitionNode): boolean {
  return (
    operation === 'query' &&
    selectionSet.selections.every((selection) => selection.kind === 'Field' && selection.name.value.startsWith('__'))
  );
}
