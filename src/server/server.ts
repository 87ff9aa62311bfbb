/**
 * The HTTP server: the API at /graphql, the explorer at /, health checks at /healthz and /readyz. Each request has one
 * context and one set of loaders.
 */

import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { UserId } from '../db/ids.js';
import type { Cache } from '../engine/cache/index.js';
import { cacheDebugging, ResponseCache, Tracer } from '../engine/graphql/index.js';
import type { MainDatabase } from '../engine/postgres/index.js';
import { Loads } from '../graphql/context.js';
import { badUserInput, ErrorMask, noSuchOperation } from '../graphql/errors.js';
import type { Identity, TokenSender } from '../graphql/identity.js';
import { LIMITS, MAX_BODY_BYTES, PARSE_OPTIONS } from '../graphql/limits.js';
import { DEFAULT_HTTP_CONNECTION_LIMITS } from '../platform/http-connection-limits.js';
import type { Log } from '../platform/log.js';
import type { SubscriptionLimits } from '../platform/subscription-limits.js';
import { bearerToken } from './auth/bearer.js';
import { serveCachedResponses } from './http/cached-responses.js';
import { serveQueries } from './http/endpoint.js';
import { type ExplorerOptions, offlinePage, sandboxPage } from './http/explorer.js';
import { statusByMediaType } from './http/graphql-over-http.js';
import { addHttpCache, httpCachePlugin } from './http/http-cache.js';
import { boundConnections } from './http/http-connections.js';
import { answerHttpErrors } from './http/http-errors.js';
import {
  addHttpSecurity,
  addressOf,
  type HttpSecurityOptions,
  offlinePolicy,
  sandboxPolicy,
  serverOptions,
  trustsOf,
} from './http/http-security.js';
import { readJsonBodies } from './http/json-body.js';
import { NewConnections } from './http/new-connections.js';
import { refusalLog } from './http/refusal-log.js';
import { paceRequests } from './http/request-pacing.js';
import { requestSignal } from './http/request-signal.js';
import { UnreadResponses } from './http/unread-responses.js';
import { assertCostLimit, costsOf } from './operations/cost.js';
import { Documents, isIntrospectionOperation, noToken } from './operations/documents.js';
import { executorGateway } from './operations/executor.js';
import { LargeResponses } from './operations/large-responses.js';
import {
  PersistedDocuments,
  type PersistedDocumentsOptions,
  RegisteredDocuments,
} from './operations/persisted-documents.js';
import { MAX_RESPONSE_BYTES } from './operations/response-size.js';
import { Turns } from './operations/turns.js';
import { callerOf, type RateLimits, rateLimitPlugin } from './rate-limit/rate-limit.js';
import { type Admitted, type AdmittedRequest, type IncomingRequest, RequestContext } from './request-context.js';
import { serveSubscriptions } from './websocket/subscriptions.js';

const ENDPOINT = '/graphql';
const OFFLINE_EXPLORER = '/explorer';
/** `snapshot`: all values of the answer are from one moment. */
const CONSISTENCY_HEADER = 'x-consistency';
/** The scope that allows cache traces in production. */
const TRACE_SCOPE = 'cache:trace';

/** The scope that allows reading /metrics in production. */
const METRICS_SCOPE = 'metrics:read';

/**
 * Headers that a page of another origin cannot make a browser send without a preflight. A plain GET must have one of
 * them.
 */
const UNFORGEABLE_HEADERS = ['authorization', 'apollo-require-preflight', 'x-apollo-operation-name'];

export interface ServerOptions extends HttpSecurityOptions {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly log: Log;
  /** @throws UNAUTHENTICATED; RATE_LIMITED if the token would create a new user */
  readonly verifyToken: (token: string, from: TokenSender) => Promise<Identity>;
  /** Called before a write, because a token can outlive its user. @throws UNAUTHENTICATED */
  readonly requireUser: (loads: Loads, id: UserId) => Promise<void>;
  /** Whether introspection is answered. Default: not in production. */
  readonly introspection?: boolean;
  /** Time limit from a request's arrival to its answer, in ms. Defaults to 30 s. */
  readonly answerTimeoutMs?: number;
  /** Maximum size of one response in bytes. Defaults to 4 MiB. */
  readonly maxResponseBytes?: number;
  /** Maximum total size of responses that clients have not read, in bytes. Defaults to 64 MiB. */
  readonly maxUnreadBytes?: number;
  /** Time without a byte read after which a client is disconnected. Defaults to 20 s. */
  readonly unreadStallMs?: number;
  /** Whether Postgres responds, and the state of Redis, for /readyz. */
  readonly readiness: () => Promise<{ postgres: boolean; redis: string }>;
  /** Metrics in Prometheus's text format. */
  readonly metrics: { readonly contentType: string; text(): Promise<string>; unlistedDocument(): void };
  /**
   * Whether the processing time of a caller's documents, bodies and messages is limited: see time-budget.ts. Default:
   * no.
   */
  readonly timeLimits?: boolean;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
  /** Absent: clients send any document. */
  readonly persistedDocuments?: Pick<PersistedDocumentsOptions, 'manifest' | 'mode'>;
  /** Defaults: see subscription-limits.ts. */
  readonly subscriptionLimits?: Partial<SubscriptionLimits>;
  /** Absent: no explorer. */
  readonly explorer?: Pick<ExplorerOptions, 'token' | 'document'>;
}

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { schema, log, production, explorer, persistedDocuments, maxResponseBytes = MAX_RESPONSE_BYTES } = options;
  const app = fastify({
    ...serverOptions(options),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that arrive during shutdown are answered and asked to disconnect
  });
  boundConnections(app.server, {
    limits: { ...DEFAULT_HTTP_CONNECTION_LIMITS, ...options.httpConnections },
    trusts: trustsOf(options),
    onRefusal: refusalLog(log, 'HTTP connections'),
  });
  const mask = new ErrorMask(log);
  answerHttpErrors(app, ENDPOINT, mask);
  const unlisted = options.metrics.unlistedDocument;
  const listed = persistedDocuments && new PersistedDocuments({ ...persistedDocuments, log, unlisted });
  listed?.serve(app, ENDPOINT);
  const connections = new NewConnections(app.server);
  const turns = new Turns(connections);
  const documents = new Documents({ limited: options.timeLimits === true, turns });
  const admitted = new WeakMap<object, Admitted>();
  readJsonBodies(app, async ({ raw }, parse, options) => {
    const sender = admitted.get(raw);
    if (sender === undefined) return parse(); // a route outside the API
    return documents.timed(sender, parse, options);
  });
  const large = new LargeResponses({ maxBytes: maxResponseBytes, turns });
  const registered = new RegisteredDocuments(options.cache.store);
  const apollo = new ApolloServer<RequestContext>({
    gateway: executorGateway(schema, { ...options, maxResponseBytes, large }),
    introspection: options.introspection ?? !production,
    hideSchemaDetailsFromClientErrors: production,
    validationRules: [...LIMITS],
    parseOptions: PARSE_OPTIONS,
    documentStore: documents.store,
    persistedQueries: persistedDocuments?.mode === 'enforce' ? false : { cache: registered },
    stringifyResult: large.stringify,
    allowBatchedHttpRequests: false, // a batch would be charged as one request
    csrfPrevention: { requestHeaders: UNFORGEABLE_HEADERS },
    includeStacktraceInErrorResponses: false,
    formatError: mask.format,
    stopOnTerminationSignals: false, // two concurrent stops would hang; main.ts stops the server
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      requestPlugin(options, mask, documents),
      statusByMediaType,
      httpCachePlugin(),
      rateLimitPlugin(options.rateLimits, (context) => (context as RequestContext).opened.caller),
      documents.plugin(),
      registered.plugin(),
    ],
    logger: { debug: () => {}, info: () => {}, warn: (text) => log.warn(text), error: (text) => log.error(text) },
  });
  await apollo.start();

  await addHttpSecurity(app, options);
  addHttpCache(app, ENDPOINT);
  const answers = new ResponseCache(options.cache);
  const unread = new UnreadResponses({ maxBytes: options.maxUnreadBytes, stallMs: options.unreadStallMs });
  const admit = (asker: IncomingRequest) => admitRequest(options, asker);
  const asked = serveCachedResponses(app, ENDPOINT, { ...options, answers, unread, admit });
  serveQueries(app, ENDPOINT, {
    apollo,
    answers,
    documents,
    unread,
    mask,
    asked,
    admitted,
    // `ip` is undefined if the client has just gone, whatever its type says.
    admit: ({ headers, ip }) => admit({ headers, address: ip ?? '' }),
    readSet: () => options.cache.readSet(),
    contextOf: (opened, request, reply) => {
      const writes = { begun: false };
      return contextOf(options, opened, request, {
        writes,
        signal: requestSignal(reply, writes, options.answerTimeoutMs),
      });
    },
  });
  paceRequests(app.server, { connections, addressOf: addressOf(options) });
  serveSubscriptions(app, ENDPOINT, {
    ...options,
    mask,
    documents,
    listed,
    maxResponseBytes,
    connections,
    limits: options.subscriptionLimits,
  });
  app.get('/metrics', async (request, reply) => {
    if (production) {
      await options.rateLimits?.checkAddress(request.ip);
      await requireScope(options, request, METRICS_SCOPE);
    }
    return reply.type(options.metrics.contentType).send(await options.metrics.text());
  });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const { postgres, redis } = await options.readiness();
    return reply.code(postgres ? 200 : 503).send({ postgres: postgres ? 'up' : 'down', redis });
  });
  if (explorer !== undefined) {
    const pages = { endpoint: ENDPOINT, fallback: OFFLINE_EXPLORER, ...explorer };
    app.get('/', sandboxPolicy, async (_, reply) => reply.type('text/html').send(sandboxPage(pages)));
    app.get(OFFLINE_EXPLORER, offlinePolicy, async (_, reply) => reply.type('text/html').send(offlinePage(pages)));
  }
  return app;
}

async function identityOf(
  { verifyToken }: ServerOptions,
  { headers: { authorization }, address, readSet }: IncomingRequest,
): Promise<Identity | undefined> {
  const token = bearerToken(authorization);
  return token === undefined ? undefined : verifyToken(token, { address, readSet });
}

/** @throws an error that Fastify answers with 401 or 403 */
async function requireScope(options: ServerOptions, request: FastifyRequest, scope: string): Promise<void> {
  const { headers, ip: address } = request;
  const identity = await identityOf(options, { headers, address }).catch(() => undefined);
  if (identity?.scopes.includes(scope)) return;
  const statusCode = identity === undefined ? 401 : 403;
  throw Object.assign(new Error(`This requires a token with the scope ${scope}.`), { statusCode });
}

/** Authenticates a request before anything else is done for it. @throws RATE_LIMITED, UNAUTHENTICATED */
async function admitRequest(options: ServerOptions, asker: IncomingRequest): Promise<Admitted> {
  const { rateLimits } = options;
  const { address } = asker;
  await rateLimits?.checkAddress(address);
  const identity = await identityOf(options, asker);
  const caller = callerOf({ userId: identity?.userId }, address);
  rateLimits?.prefetch(caller);
  return { identity, caller };
}

async function contextOf(
  options: ServerOptions,
  opened: AdmittedRequest,
  request: FastifyRequest,
  under: Pick<RequestContext, 'signal' | 'writes'>,
) {
  const mayTrace = !options.production || opened.identity?.scopes.includes(TRACE_SCOPE) === true;
  const header = (name: string) => request.headers[name];
  const tracer = new Tracer(mayTrace && (wantsTrace(header) || wantsDebugging(header)));
  return new RequestContext(opened, {
    ...options,
    tracer,
    snapshot: wantsSnapshot(request.headers[CONSISTENCY_HEADER]),
    ...under,
  });
}

type HeaderOf = (name: string) => string | string[] | undefined;

/** `extensions.cache` */
function wantsTrace(header: HeaderOf): boolean {
  return header('x-cache-trace') === '1';
}

/** `extensions.apolloCacheDebugging` */
function wantsDebugging(header: HeaderOf): boolean {
  return header('apollo-cache-debugging') === 'true';
}

function wantsSnapshot(header: string | string[] | undefined): boolean {
  if (header === undefined || header === 'snapshot') return header === 'snapshot';
  throw badUserInput(CONSISTENCY_HEADER, `expected snapshot or no header, got ${JSON.stringify(header)}`, 400);
}

/** Per-request plugin: authentication, the cost limit, the trace, and the request id of masked errors. */
function requestPlugin(
  options: ServerOptions,
  mask: ErrorMask,
  documents: Documents,
): ApolloServerPlugin<RequestContext> {
  const costOf = costsOf(options.schema);
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ document, operation, request, contextValue }) => {
        const { viewerId } = contextValue;
        const { opened } = contextValue;
        if (operation === undefined) throw noSuchOperation(request.operationName);
        // Also applies to a registered document, which is named without its text.
        if (opened.identity === undefined && !isIntrospectionOperation(operation)) throw noToken();
        if (operation.operation === 'subscription') {
          throw badUserInput('query', 'expected a query or mutation: subscriptions go over a WebSocket', 400);
        }
        const asked = { document, operation, variables: request.variables };
        const cost = costOf(asked, (work) => documents.timed(opened, work, { wait: true }));
        // In this hook, because the hook that takes the points runs concurrently.
        if (typeof cost === 'number') contextValue.cost = cost;
        else {
          contextValue.costing = cost;
          contextValue.cost = await cost;
        }
        assertCostLimit(contextValue.cost);
        if (operation.operation !== 'mutation') return;
        opened.isMutation = true;
        const { readSet, tracer, signal } = contextValue;
        await options.requireUser(new Loads({ ...options, viewer: viewerId, readSet, tracer, signal }), viewerId);
      },
      executionDidStart: async ({ contextValue: { tracer } }) =>
        tracer.enabled ? { willResolveField: ({ info }) => tracer.enter(info) } : {},
      didEncounterErrors: async ({ errors, contextValue: { requestId } }) => {
        mask.note(errors, requestId);
      },
      willSendResponse: async ({ request, response: { body }, contextValue: { tracer } }) => {
        if (body.kind !== 'single' || !tracer.enabled) return;
        const { singleResult } = body;
        const header = (name: string) => request.http?.headers.get(name);
        singleResult.extensions = {
          ...singleResult.extensions,
          ...(wantsTrace(header) && { cache: tracer.report() }),
          ...(wantsDebugging(header) && { apolloCacheDebugging: cacheDebugging(tracer.noted, Date.now()) }),
        };
      },
    }),
  };
}
