/**
 * The HTTP server: the API at /graphql, the explorer at /, the console at /console, health checks at /healthz and /readyz. A request to the API
 * passes through the stages of http/request-pipeline.ts, and has one context and one set of loaders.
 */

import fastify, { type FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { Cache, LiveRunEnded } from '../engine/cache/index.js';
import { availabilityOf, type MainDatabase } from '../engine/postgres/index.js';
import { Loads, type MakeLoads } from '../graphql/context.js';
import { ErrorMask } from '../graphql/errors.js';
import { MAX_BODY_BYTES } from '../graphql/limits.js';
import { withRequestLog } from '../platform/access-log.js';
import { DEFAULT_HTTP_CONNECTION_LIMITS } from '../platform/http-connection-limits.js';
import type { Log } from '../platform/log.js';
import type { Metrics } from '../platform/metrics.js';
import type { RequestMetrics } from '../platform/request-metrics.js';
import { DEFAULT_LIMITS, type SubscriptionLimits } from '../platform/subscription-limits.js';
import { type AdmissionOptions, admission, type ScopeOptions } from './admission.js';
import { decorateRequests } from './api-request.js';
import { createApollo } from './apollo.js';
import { CachedResponses } from './http/cached-responses.js';
import { encodingFor as acceptedEncoding } from './http/compression.js';
import type { ConsoleOptions } from './http/console-page.js';
import { serveQueries } from './http/endpoint.js';
import type { ExplorerOptions } from './http/explorer.js';
import { type ExportRouteOptions, serveExports } from './http/export-route.js';
import { addHttpCache } from './http/http-cache.js';
import { boundConnections } from './http/http-connections.js';
import { answerHttpErrors } from './http/http-errors.js';
import { addHttpSecurity, addressOf, type HttpSecurityOptions, serverOptions, trustsOf } from './http/http-security.js';
import { JsonBodies } from './http/json-body.js';
import { NewConnections } from './http/new-connections.js';
import { PipelinedResponses } from './http/pipelined-responses.js';
import { RecordedHeaders } from './http/recorded-headers.js';
import { refusalLog } from './http/refusal-log.js';
import { paceRequests } from './http/request-pacing.js';
import { serveRequests } from './http/request-pipeline.js';
import { addServiceRoutes, type Readiness } from './http/service-routes.js';
import { UnreadResponses } from './http/unread-responses.js';
import { EventStreams } from './live/event-streams.js';
import { failureLog } from './live/failure-log.js';
import { LiveRuns } from './live/live-runs.js';
import { QueryAnswers } from './live/query-answers.js';
import { QueryStreams } from './live/query-streams.js';
import { StalledClients } from './live/stalled-clients.js';
import { Documents } from './operations/documents.js';
import { OperationExecutor, type ViewerChecks } from './operations/executor.js';
import { KnownOperations } from './operations/known-operations.js';
import { LargeResponses } from './operations/large-responses.js';
import { OperationGate } from './operations/operation-plugin.js';
import {
  PersistedDocuments,
  type PersistedDocumentsOptions,
  RegisteredDocuments,
} from './operations/persisted-documents.js';
import { MAX_RESPONSE_BYTES } from './operations/response-size.js';
import { Turns } from './operations/turns.js';
import { limitReached } from './rate-limit/rate-limit.js';
import { type RequestSpans, requestSpans } from './request-span.js';
import { ConnectionSlots } from './websocket/connection-slots.js';
import { ResultForm } from './websocket/result-form.js';
import { type SubscriptionRequestOptions, SubscriptionRequests } from './websocket/subscription-requests.js';
import { serveSubscriptions } from './websocket/subscriptions.js';

const ENDPOINT = '/graphql';

export interface ServerOptions extends HttpSecurityOptions, AdmissionOptions, ScopeOptions, ViewerChecks {
  readonly schema: GraphQLSchema;
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly log: Log;
  /** Makes the loaders of operations over HTTP. Default: loaders that read through the cache. */
  readonly makeLoads?: MakeLoads;
  /** Whether introspection is answered. Default: not in production. */
  readonly introspection?: boolean;
  /** Time limit from the start of a request's execution to its answer, in ms. Defaults to 30 s. */
  readonly answerTimeoutMs?: number;
  /** Maximum size of one response in bytes. Defaults to 4 MiB. */
  readonly maxResponseBytes?: number;
  /** Maximum total size of responses that clients have not read, in bytes. Defaults to 64 MiB. */
  readonly maxUnreadBytes?: number;
  /** Time without a byte read after which a client is disconnected. Defaults to 20 s. */
  readonly unreadStallMs?: number;
  /** For /readyz. */
  readonly readiness: () => Promise<Readiness>;
  /** Metrics in Prometheus's text format. */
  readonly metrics: Pick<
    Metrics,
    'contentType' | 'text' | 'unlistedDocument' | 'requests' | 'watchConnections' | 'liveRun'
  >;
  /**
   * Whether the processing time of a caller's documents, bodies and messages is limited: see time-budget.ts. Default:
   * no.
   */
  readonly timeLimits?: boolean;
  /**
   * Whether operations of known documents are answered without Apollo: see operations/known-operations.ts. Default:
   * yes.
   */
  readonly knownOperations?: boolean;
  /** Whether responses are compressed for clients that accept it. Default: yes. */
  readonly compression?: boolean;
  /** Share of requests that are logged, 0 to 1. Default: none. */
  readonly loggedRequests?: number;
  /** Requests that take as long are logged as slow, in ms; 0: none. Default: none. */
  readonly slowOperationMs?: number;
  /** Absent: clients send any document. */
  readonly persistedDocuments?: Pick<PersistedDocumentsOptions, 'manifest' | 'mode'>;
  /** Defaults: see subscription-limits.ts. */
  readonly subscriptionLimits?: Partial<SubscriptionLimits>;
  /** Absent: no exports. */
  readonly exports?: Pick<ExportRouteOptions, 'path' | 'read'>;
  /** Absent: no explorer. */
  readonly explorer?: Pick<ExplorerOptions, 'token' | 'document'>;
  /** Absent: no console. */
  readonly console?: ConsoleOptions;
}

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { log, persistedDocuments, maxResponseBytes = MAX_RESPONSE_BYTES } = options;
  const spans = requestSpans(ENDPOINT);
  const app = createFastify(options, spans);
  const { loggedRequests: share = 0, slowOperationMs: slowMs = 0 } = options;
  const requests = withRequestLog(options.metrics.requests, log, { share, slowMs });
  const mask = errorMask(log, requests);
  answerHttpErrors(app, ENDPOINT, mask);
  const unlisted = options.metrics.unlistedDocument;
  const listed = persistedDocuments && new PersistedDocuments({ ...persistedDocuments, log, unlisted });
  listed?.serve(app, ENDPOINT);
  const connections = new NewConnections(app.server);
  const turns = new Turns(connections);
  const introspection = options.introspection ?? !options.production;
  const documents = new Documents({ limited: options.timeLimits === true, introspection, turns });
  const bodies = new JsonBodies(app, documents);
  const registration = persistedDocuments?.mode !== 'enforce';
  const operations = operationsOf(options, { documents, turns, maxResponseBytes });
  const apollo = createApollo({ ...options, ...operations, introspection, mask, registration });
  await apollo.start();

  await addHttpSecurity(app, options);
  addHttpCache(app, ENDPOINT);
  const unread = new UnreadResponses({ maxBytes: options.maxUnreadBytes, stallMs: options.unreadStallMs });
  const encodingFor = options.compression === false ? () => undefined : acceptedEncoding;
  const responses = new CachedResponses({ ...options, unread, encodingFor, requests });
  const headers = new RecordedHeaders();
  const admit = admission(options);
  const registered = registration ? operations.registered : undefined;
  const stages = { ...options, ...operations, bodies, listed, registered, headers, responses, unread };
  const known = options.knownOperations === false ? undefined : new KnownOperations(stages);
  // Pacing wraps the pipeline, which wraps Fastify: a request passes them in the reverse order of these calls.
  serveRequests(app, ENDPOINT, { ...options, admit, responses, known, spans });
  const pipelined = new PipelinedResponses();
  const shared = { ...operations, listed, maxResponseBytes, mask, turns, unread, pipelined };
  const streaming = streamingOf(app, options, shared);
  serveQueries(app, ENDPOINT, {
    ...options,
    ...streaming,
    apollo,
    responses,
    headers,
    documents,
    unread,
    mask,
    admit,
    encodingFor,
    requests,
  });
  paceRequests(app.server, { connections, addressOf: addressOf(options) });
  pipelined.watch(app.server);
  const websockets = serveSubscriptions(app, ENDPOINT, { ...options, ...streaming });
  options.metrics.watchConnections(() => ({
    websockets: websockets(),
    eventStreams: streaming.events.open,
    subscriptions: streaming.requests.open - streaming.live.state.clients,
    live: streaming.live.state,
  }));
  if (options.exports !== undefined) serveExports(app, { ...options, ...options.exports });
  addServiceRoutes(app, ENDPOINT, { ...options, encodingFor });
  return app;
}

function errorMask(log: Log, requests: RequestMetrics): ErrorMask {
  return new ErrorMask(log, (code, cause) => {
    requests.error(code);
    if (code === 'RATE_LIMITED') requests.rateLimited(limitReached(cause as object));
  });
}

/** What Apollo's way and that of known operations share. */
function operationsOf(
  options: ServerOptions,
  { documents, turns, maxResponseBytes }: { documents: Documents; turns: Turns; maxResponseBytes: number },
) {
  const large = new LargeResponses({ maxBytes: maxResponseBytes, turns });
  const { makeLoads = (from) => new Loads(from) } = options;
  return {
    documents,
    large,
    makeLoads,
    gate: new OperationGate({ ...options, documents }),
    executor: new OperationExecutor(options.schema, { ...options, maxResponseBytes, large, makeLoads }),
    registered: new RegisteredDocuments(options.cache.store),
  };
}

type StreamedOperations = ReturnType<typeof operationsOf> & {
  readonly unread: UnreadResponses;
  readonly pipelined: PipelinedResponses;
} & Pick<SubscriptionRequestOptions, 'listed' | 'turns'> &
  ConstructorParameters<typeof ResultForm>[0];

/** What subscriptions and live queries over WebSockets and over server-sent events share. */
function streamingOf(app: FastifyInstance, options: ServerOptions, operations: StreamedOperations) {
  const { cache, db, subscriptionLimits, log } = options;
  const limits = { ...DEFAULT_LIMITS, ...subscriptionLimits };
  const logFailure = failureLog(log);
  const ended = (run: LiveRunEnded) => {
    options.metrics.liveRun(run);
    logFailure(run);
  };
  const live = cache.liveQueries({ maxQueries: limits.maxLiveQueries, ended });
  const answers = new QueryAnswers({ ...options, ...operations });
  const runs = new LiveRuns({ ...options, queries: live, answers });
  const queries = new QueryStreams({ ...options, answers, runs });
  const availability = availabilityOf(db);
  const requests = new SubscriptionRequests({ ...options, ...operations, availability, queries }, limits);
  const slots = new ConnectionSlots(limits);
  const results = new ResultForm(operations);
  const { unread, pipelined } = operations;
  const logRefusal = refusalLog(log, 'WebSockets and event streams');
  const connections = {
    requests,
    slots,
    limits,
    results,
    logRefusal,
    stalled: new StalledClients({ ...limits, unread }),
    pipelined,
  };
  const events = new EventStreams(connections);
  app.addHook('preClose', async () => events.close());
  app.addHook('onClose', async () => live.close());
  return { ...connections, live, events };
}

function createFastify(options: ServerOptions, spans: RequestSpans | undefined): FastifyInstance {
  const app = fastify({
    ...serverOptions(options),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that arrive during shutdown are answered and asked to disconnect
  });
  const connections = boundConnections(app.server, {
    limits: { ...DEFAULT_HTTP_CONNECTION_LIMITS, ...options.httpConnections },
    trusts: trustsOf(options),
    onRefusal: refusalLog(options.log, 'HTTP connections'),
  });
  app.addHook('preClose', async () => connections.closeUnused());
  decorateRequests(app, ENDPOINT, spans);
  return app;
}
