/**
 * The last stages of a request to the API, in Fastify: its body is parsed, Apollo Server runs its operation, and the
 * response is sent. A request that comes straight from its client is admitted first, before its body is read.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { type ApolloServer, HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import type { Cache } from '../../engine/cache/index.js';
import { badRequest, badUserInput, type ErrorMask } from '../../graphql/errors.js';
import { httpOf } from '../../graphql/http-headers.js';
import { MAX_ANONYMOUS_BODY_BYTES } from '../../graphql/limits.js';
import type { RequestMetrics } from '../../platform/request-metrics.js';
import type { Admit, Sender } from '../admission.js';
import { type EventStreams, wantsEvents } from '../live/event-streams.js';
import { type Documents, noToken } from '../operations/documents.js';
import { tracerFor } from '../operations/trace-plugin.js';
import type { RateLimits } from '../rate-limit/rate-limit.js';
import { emptyOutcome, type OperationOutcome, RequestContext } from '../request-context.js';
import { ArrivingBodies } from './arriving-bodies.js';
import type { CachedResponses } from './cached-responses.js';
import { compress, type EncodingFor } from './compression.js';
import type { RecordedHeaders } from './recorded-headers.js';
import { clientGone, RequestLifetime, untilClosed } from './request-lifetime.js';
import { tooManyUnread, type UnreadResponses } from './unread-responses.js';

/** A response up to this size is not tracked until it is read; tracking would cost more than the response. */
const TRACKED_BYTES = 8 * 1024;
/** `snapshot`: all values of the answer are from one moment. */
const CONSISTENCY_HEADER = 'x-consistency';

export interface EndpointOptions {
  readonly apollo: ApolloServer<RequestContext>;
  readonly cache: Cache;
  readonly responses: CachedResponses;
  readonly documents: Documents;
  readonly headers: RecordedHeaders;
  readonly unread: UnreadResponses;
  readonly encodingFor: EncodingFor;
  readonly requests: RequestMetrics;
  readonly mask: ErrorMask;
  /** Answers requests for server-sent events. */
  readonly events: EventStreams;
  /** @throws the refusal of the request */
  readonly admit: Admit;
  readonly rateLimits?: RateLimits | undefined;
  readonly production: boolean;
  /** Time limit from the start of a request's execution to its answer, in ms. Defaults to 30 s. */
  readonly answerTimeoutMs?: number | undefined;
}

export function serveQueries(app: FastifyInstance, url: string, options: EndpointOptions): void {
  const { responses, headers, admit } = options;
  const arriving = new ArrivingBodies();
  app.route({
    url,
    method: ['GET', 'POST'],
    // Before the body is parsed: a caller over its limit causes no parsing, and an unparsable body is counted.
    onRequest: async ({ raw, socket, apiRequest }) => {
      // The address of a closed connection is unknown and cannot be counted.
      if (socket.destroyed) throw clientGone();
      const sender = await apiRequest.within(() => apiRequest.admit(() => admit(raw)));
      if (sender.identity === undefined) requireSmallBody(raw.headers);
      if (apiRequest.received === undefined) arriving.admit(raw, sender.caller);
    },
    // The stream of a body that has been received is at its end.
    preParsing: ({ apiRequest: { received } }, _reply, payload, done) =>
      done(null, received === undefined ? payload : (Readable.from(received.body) as RequestPayload)),
    handler: async (request, reply) => {
      const sender = request.apiRequest.sender as Sender; // admitted in onRequest
      if (wantsEvents(request.raw)) return options.events.serve(request, reply, sender);
      const exchange = { sender, request, reply };
      const answered = await request.apiRequest.within(() => answer(options, exchange));
      return send(options, exchange, answered);
    },
    onSend: async ({ apiRequest, raw }, reply, payload) => {
      const { received, sender, isCacheable, outcome, startedMs, id, span } = apiRequest;
      const operation = outcome?.operation?.name;
      const policiesRead = outcome?.policiesRead ?? 0;
      const isAnswer = received !== undefined && isCacheable && reply.statusCode === 200;
      if (isAnswer && sender?.identity !== undefined) {
        const lasting = headers.record(raw, reply.getHeaders());
        const documentHash = span?.documentHash;
        const kept = { text: payload as string, headers: lasting, operation, documentHash, policiesRead };
        responses.keep(received, sender.identity.userId, kept);
      }
      const ms = performance.now() - startedMs;
      const { caller } = sender ?? {};
      const policiesSaved = Math.max(0, policiesRead - (outcome?.policiesLoaded ?? 0));
      const answered = { id, caller, operation, as: 'apollo', status: reply.statusCode, ms } as const;
      options.requests.answered({ ...answered, from: outcome?.from, policiesSaved });
      span?.answered({ as: 'apollo', id, status: reply.statusCode });
      return encoded(options, raw, { reply, payload });
    },
  });
}

/** The last step, so that what is kept and what ETags are made of is not compressed. */
async function encoded(
  { encodingFor }: EndpointOptions,
  { headers }: IncomingMessage,
  { reply, payload }: { reply: FastifyReply; payload: unknown },
): Promise<unknown> {
  if (typeof payload !== 'string') return payload;
  const encoding = encodingFor(headers['accept-encoding'], payload.length);
  if (encoding === undefined) return payload;
  const body = await compress(payload, encoding);
  const etag = reply.getHeader('etag');
  if (typeof etag === 'string') reply.header('etag', `W/${etag}`); // the bytes depend on the encoding
  reply.header('content-encoding', encoding).removeHeader('content-length');
  return body;
}

/** @throws UNAUTHENTICATED before a long body is read that could not contain an answerable request */
function requireSmallBody(headers: FastifyRequest['headers']): void {
  const bytes = Number(headers['content-length'] ?? 0);
  if (bytes > MAX_ANONYMOUS_BODY_BYTES || headers['transfer-encoding'] !== undefined) throw noToken();
}

interface Exchange {
  readonly sender: Sender;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

interface ApolloResult {
  readonly response: HTTPGraphQLResponse;
  readonly outcome: OperationOutcome;
}

async function answer(options: EndpointOptions, exchange: Exchange): Promise<ApolloResult> {
  const { apollo, documents, unread } = options;
  const { sender, request } = exchange;
  const body = bodyOf(request);
  const search = searchOf(request.url);
  const text = documentOf(request.method === 'GET' ? Object.fromEntries(new URLSearchParams(search)) : body);
  const { accept } = request.headers;
  const { context: begun } = request.apiRequest;
  const outcome = begun?.outcome ?? emptyOutcome();
  let refused: HTTPGraphQLResponse | undefined;
  const response = await apollo.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { body, method: request.method, headers: headersOfRequest(request), search },
    context: async () => {
      if (begun !== undefined) return begun;
      refused = text === undefined ? undefined : await documents.admit(text, accept, sender);
      if (unread.isBehind(sender.caller)) throw tooManyUnread();
      // The response that is sent contains the reason.
      if (refused !== undefined) throw badRequest('This document is not valid.');
      return contextOf(options, exchange, outcome);
    },
  });
  if (refused !== undefined) return { response: refused, outcome };
  if (outcome.invalidDocument && text !== undefined) documents.refuse(text, accept, response);
  return { response, outcome };
}

function contextOf(
  { cache, rateLimits, production, answerTimeoutMs }: EndpointOptions,
  { sender, request: { headers, apiRequest }, reply }: Exchange,
  outcome: OperationOutcome,
): RequestContext {
  return new RequestContext({
    sender,
    // Without a cached response it begins here: after the body has arrived and after writes made for admission.
    readSet: apiRequest.received?.readSet ?? cache.readSet(),
    outcome,
    tracer: tracerFor(headers, { production, identity: sender.identity }),
    snapshot: wantsSnapshot(headers[CONSISTENCY_HEADER]),
    lifetime: new RequestLifetime(untilClosed(reply.raw), answerTimeoutMs),
    rateLimits,
    request: apiRequest,
  });
}

function wantsSnapshot(header: string | string[] | undefined): boolean {
  if (header === undefined || header === 'snapshot') return header === 'snapshot';
  throw badUserInput(CONSISTENCY_HEADER, `expected snapshot or no header, got ${JSON.stringify(header)}`, 400);
}

/** The document that a request contains; undefined if it names one or has none. */
function documentOf(given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null || !('query' in given)) return undefined;
  return typeof given.query === 'string' && given.query !== '' ? given.query : undefined;
}

interface Head {
  readonly status: number;
  readonly headers: Iterable<readonly [string, string]>;
  readonly text: string;
}

/** @returns the body */
async function send(
  { unread, mask }: EndpointOptions,
  { sender: { caller }, request: { apiRequest }, reply }: Exchange,
  { response, outcome }: ApolloResult,
): Promise<string> {
  const { operation, answered } = outcome;
  const text = await textOf(response);
  const bytes = Buffer.byteLength(text);
  const head: Head = { status: response.status ?? 200, headers: response.headers, text };
  // The response of a mutation that has run is always sent.
  const mayWait = unread.allows(caller, bytes) || operation?.type === 'mutation';
  const { status, headers, text: sent } = mayWait ? head : refusal(mask);
  apiRequest.ran(outcome);
  if (mayWait && answered) apiRequest.markCacheable();
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  // Smaller responses are bounded by Node, which stops reading from a connection on which responses wait.
  if (mayWait && bytes > TRACKED_BYTES) unread.track(reply.raw, caller, bytes);
  return sent;
}

function refusal(mask: ErrorMask): Head {
  const error = tooManyUnread();
  const { http: _, ...extensions } = error.extensions;
  const { status = 503, headers = [] } = httpOf(error.extensions);
  const text = JSON.stringify({ errors: [mask.format({ message: error.message, extensions }, error)] });
  return { status, headers: [['content-type', 'application/json; charset=utf-8'], ...headers], text };
}

async function textOf({ body }: HTTPGraphQLResponse): Promise<string> {
  if (body.kind === 'complete') return body.string;
  let text = '';
  for await (const chunk of body.asyncIterator) text += chunk; // the schema has no incremental delivery
  return text;
}

/** Treats an empty `operationName` as absent, for clients that always send the member. */
function bodyOf({ body }: FastifyRequest): unknown {
  if (typeof body !== 'object' || body === null || !('operationName' in body) || body.operationName !== '') return body;
  const { operationName: _, ...rest } = body;
  return rest;
}

function headersOfRequest({ headers }: FastifyRequest): HeaderMap {
  const map = new HeaderMap();
  for (const [name, value] of Object.entries(headers)) {
    if (value) map.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return map;
}

/** The query string with its question mark, without an empty `operationName`. */
function searchOf(address: string): string {
  const mark = address.indexOf('?');
  if (mark === -1) return '';
  return address.slice(mark).replace(/([?&])operationName=(?=&|$)/g, '$1');
}
