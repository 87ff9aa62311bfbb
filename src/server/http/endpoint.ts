/**
 * Queries and mutations over HTTP, through Apollo Server. Before a body is read its sender is admitted: counted by address, and known by
 * its token. A response that may be kept is, for the front door.
 */
import { type ApolloServer, HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ReadSet } from '../../engine/cache/index.js';
import type { ResponseCache } from '../../engine/graphql/index.js';
import { badRequest, type ErrorMask } from '../../graphql/errors.js';
import { httpOf } from '../../graphql/http-headers.js';
import { MAX_ANONYMOUS_BODY_BYTES } from '../../graphql/limits.js';
import { type Documents, noToken } from '../operations/documents.js';
import type { Admitted, AdmittedRequest, RequestContext } from '../request-context.js';
import { ArrivingBodies } from './arriving-bodies.js';
import type { PendingRequest } from './cached-responses.js';
import { clientGone } from './request-signal.js';
import { tooManyUnread, type UnreadResponses } from './unread-responses.js';

/** A response up to this size is not tracked until it is read, which would cost more than the response. */
const TRACKED_BYTES = 8 * 1024;

export interface EndpointOptions {
  readonly apollo: ApolloServer<RequestContext>;
  readonly answers: ResponseCache;
  readonly documents: Documents;
  readonly unread: UnreadResponses;
  readonly mask: ErrorMask;
  /** What the front door has let through. */
  readonly asked: WeakMap<object, PendingRequest>;
  /** Filled before a body is read: its sender, by request. */
  readonly admitted: WeakMap<object, Admitted>;
  /** @throws what the request is refused with */
  readonly admit: (request: FastifyRequest) => Promise<Admitted>;
  readonly readSet: () => ReadSet;
  readonly contextOf: (
    opened: AdmittedRequest,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => Promise<RequestContext>;
}

export function serveQueries(app: FastifyInstance, url: string, options: EndpointOptions): void {
  const { answers, asked, admitted, admit, readSet } = options;
  const arriving = new ArrivingBodies();
  const answered = new WeakMap<object, AdmittedRequest>();
  app.route({
    url,
    method: ['GET', 'POST'],
    // Before the body is parsed: a caller over a limit causes no parsing, and a body that does not parse is counted.
    onRequest: async (request) => {
      // It has no address any more that could be counted.
      if (request.socket.destroyed) throw clientGone();
      const sender = await (asked.get(request.raw)?.opened ?? admit(request));
      if (sender.identity === undefined) requireSmallBody(request);
      arriving.admit(request.raw, sender.caller);
      admitted.set(request.raw, sender);
    },
    handler: async (request, reply) => {
      const sender = admitted.get(request.raw) as Admitted; // set in onRequest
      // Begun when the body has come, and after what admitting has written. The front door's has its own, begun then, too.
      const opened: AdmittedRequest =
        'readSet' in sender ? (sender as AdmittedRequest) : { ...sender, readSet: readSet() };
      const response = await answer(options, { opened, request, reply });
      if (opened.answeredFor !== undefined) answered.set(request.raw, opened);
      return send(options, { opened, response, reply });
    },
    onSend: async ({ raw }, reply, payload) => {
      const [opened, question] = [answered.get(raw), asked.get(raw)?.question];
      if (opened?.identity === undefined || question === undefined || reply.statusCode !== 200) return payload;
      const { readSet, identity, answeredFor: cost = 0 } = opened;
      answers.keep(question, identity.userId, readSet, { text: payload as string, headers: reply.getHeaders(), cost });
      return payload;
    },
  });
}

/** @throws UNAUTHENTICATED before a long body is read that could hold nothing that is answered */
function requireSmallBody({ headers }: FastifyRequest): void {
  const bytes = Number(headers['content-length'] ?? 0);
  if (bytes > MAX_ANONYMOUS_BODY_BYTES || headers['transfer-encoding'] !== undefined) throw noToken();
}

interface Exchange {
  readonly opened: AdmittedRequest;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function answer(options: EndpointOptions, exchange: Exchange): Promise<HTTPGraphQLResponse> {
  const { apollo, documents, unread, contextOf } = options;
  const { opened, request, reply } = exchange;
  const body = bodyOf(request);
  const search = searchOf(request.url);
  const text = documentOf(request.method === 'GET' ? Object.fromEntries(new URLSearchParams(search)) : body);
  const { accept } = request.headers;
  let refused: HTTPGraphQLResponse | undefined;
  const response = await apollo.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { body, method: request.method, headers: headersOfRequest(request), search },
    context: async () => {
      refused = text === undefined ? undefined : await documents.admit(text, accept, opened);
      if (unread.isBehind(opened.caller)) throw tooManyUnread();
      if (refused !== undefined) throw badRequest('This document is not valid.'); // what is sent says why
      return contextOf(opened, request, reply);
    },
  });
  if (refused !== undefined) return refused;
  if (opened.invalidDocument === true && text !== undefined) documents.refuse(text, accept, response);
  return response;
}

/** The document that a request brings; undefined where it names one or has none. */
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
  { opened, response, reply }: { opened: AdmittedRequest; response: HTTPGraphQLResponse; reply: FastifyReply },
): Promise<string> {
  const text = await textOf(response);
  const bytes = Buffer.byteLength(text);
  const head: Head = { status: response.status ?? 200, headers: response.headers, text };
  // The response of a mutation that has run is always sent.
  const mayWait = unread.allows(opened.caller, bytes) || opened.isMutation === true;
  const { status, headers, text: sent } = mayWait ? head : refusal(mask);
  if (!mayWait) delete opened.answeredFor;
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  // Of smaller ones Node itself keeps few: it reads no further from a connection on which responses wait.
  if (mayWait && bytes > TRACKED_BYTES) unread.track(reply.raw, opened.caller, bytes);
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
  for await (const chunk of body.asyncIterator) text += chunk; // the schema has nothing incremental
  return text;
}

/** An operation named by the empty text is one that is not named, as for clients that always send the member. */
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

/** The query of an address with its question mark, as in a URL, without an empty `operationName`. */
function searchOf(address: string): string {
  const mark = address.indexOf('?');
  if (mark === -1) return '';
  return address.slice(mark).replace(/([?&])operationName=(?=&|$)/g, '$1');
}
