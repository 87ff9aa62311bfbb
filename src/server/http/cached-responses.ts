/**
 * Answers cached queries before they reach the server. It does only what cannot be skipped: it verifies the token,
 * applies the rate limits, and proves that the cached answer is still valid. All other requests are passed to the
 * server unchanged.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Cache } from '../../engine/cache/index.js';
import {
  type CachedResponse,
  isCacheable,
  type RequestKey,
  type ResponseCache,
  requestKeyOf,
} from '../../engine/graphql/index.js';
import type { RateState } from '../../graphql/rate-state.js';
import { headersOf, type RateLimits } from '../rate-limit/rate-limit.js';
import type { Admitted, AdmittedRequest, IncomingRequest } from '../request-context.js';
import { addressOf, type HttpSecurityOptions } from './http-security.js';
import type { UnreadResponses } from './unread-responses.js';

/** A request that was examined here and passed on. */
export interface PendingRequest {
  readonly question: RequestKey;
  /** The result of admitting the request, which is done only once: its identity, or the refusal. */
  readonly opened: Promise<AdmittedRequest>;
}

export interface FrontDoorOptions extends Pick<HttpSecurityOptions, 'trustProxy'> {
  readonly answers: ResponseCache;
  readonly cache: Cache;
  readonly rateLimits?: RateLimits | undefined;
  readonly unread: UnreadResponses;
  /** @throws the refusal of the request */
  readonly admit: (asker: IncomingRequest) => Promise<Admitted>;
}

/** @returns the requests that were passed to the server, with what is known of them */
export function serveCachedResponses(
  app: FastifyInstance,
  url: string,
  options: FrontDoorOptions,
): WeakMap<object, PendingRequest> {
  const asked = new WeakMap<object, PendingRequest>();
  const addressOfRequest = addressOf(options);
  const [server] = app.server.listeners('request') as [RequestListener];
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true; // the server asks new clients to disconnect
  });
  // Existing connections are asked too; otherwise a kept-alive connection would keep the server from closing until it
  // is idle.
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  app.server.removeListener('request', server);
  app.server.on('request', (request, response) => {
    if (closing || request.url !== url || !isCacheable(request)) return server(request, response);
    const startedMs = performance.now();
    readBody(request, async (body) => {
      // Created only now: an answer is proved by a log read that begins after this, and a body may arrive late.
      const readSet = options.cache.readSet({ answer: true });
      const sender = options.admit({ headers: request.headers, address: addressOfRequest(request), readSet });
      const opened = sender.then((admitted) => ({ ...admitted, readSet }));
      const asking: PendingRequest = { question: requestKeyOf(request, body), opened };
      const known = await findKnown(options, asking).catch(() => undefined);
      if (closing) response.shouldKeepAlive = false;
      if (known !== undefined) return sendCached(response, { known, startedMs, unread: options.unread });
      asked.set(request, asking);
      request.unshift(body);
      server(request, response);
    });
  });
  return asked;
}

/**
 * Calls back with the complete body. It reads exactly that many bytes: reading past the end of a stream ends it, and
 * then nothing could be put back.
 */
function readBody(request: IncomingMessage, then: (body: Buffer) => void): void {
  const bytes = Number(request.headers['content-length']);
  const onReadable = () => {
    const body: Buffer | null = request.read(bytes);
    if (body === null || body.length < bytes) return;
    request.removeListener('readable', onReadable);
    then(body);
  };
  request.on('readable', onReadable);
}

interface Known {
  readonly answer: CachedResponse;
  /** The caller whose rate limit is charged. */
  readonly caller: string;
  readonly paid: RateState | undefined;
}

/** Undefined also if the request must be refused: the server then responds in its own way. */
async function findKnown(
  { answers, rateLimits, unread }: FrontDoorOptions,
  { question, opened }: PendingRequest,
): Promise<Known | undefined> {
  const { readSet, identity, caller } = await opened;
  if (identity === undefined || !answers.has(question, identity.userId)) return undefined;
  const answer = await answers.find(question, identity.userId, readSet);
  if (answer === undefined || !unread.allows(caller, answer.text.length)) return undefined;
  return { answer, caller, paid: await rateLimits?.consume(caller, answer.cost) };
}

function sendCached(
  response: ServerResponse,
  { known, startedMs, unread }: { known: Known; startedMs: number; unread: UnreadResponses },
): void {
  const { answer, paid, caller } = known;
  const { text, headers } = answer;
  const bytes = Buffer.byteLength(text);
  const own = ['content-length', String(bytes)];
  own.push('server-timing', `total;dur=${(performance.now() - startedMs).toFixed(2)}`);
  if (paid !== undefined) own.push(...headersOf(paid).flat());
  response.writeHead(200, [...headers, ...own]);
  response.end(text);
  // By now the network has usually taken all of it.
  if (!response.writableFinished) unread.track(response, caller, bytes);
}
