/**
 * In front of the server: a query whose answer is known is answered here, before anything else is done for it but what it must not
 * miss: the viewer's token, the rate limits, and the proof that the answer still holds. Everything else goes on to the server, as it came.
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

/** A request that was looked at here and has no answer yet. */
export interface PendingRequest {
  readonly question: RequestKey;
  /** Admitted once, here: who asks, or what the request is refused with. */
  readonly opened: Promise<AdmittedRequest>;
}

export interface FrontDoorOptions extends Pick<HttpSecurityOptions, 'trustProxy'> {
  readonly answers: ResponseCache;
  readonly cache: Cache;
  readonly rateLimits?: RateLimits | undefined;
  readonly unread: UnreadResponses;
  /** @throws what the request is refused with */
  readonly admit: (asker: IncomingRequest) => Promise<Admitted>;
}

/** @returns what was asked, by request, of those that went on to the server */
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
    closing = true; // the server tells who comes now to leave
  });
  // So is told who was there already: a connection that is kept would keep the server from closing until it has been idle for long.
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  app.server.removeListener('request', server);
  app.server.on('request', (request, response) => {
    if (closing || request.url !== url || !isCacheable(request)) return server(request, response);
    const startedMs = performance.now();
    readBody(request, async (body) => {
      // Not before: what proves an answer is a read of the log that was sent after this, and a body may come late.
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
 * Calls back with the body once all of it has come. So many bytes are asked for and no more: who reads a stream that has ended beyond
 * its end ends it for good, and nothing can be put back.
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
  /** Who pays. */
  readonly caller: string;
  readonly paid: RateState | undefined;
}

/** Undefined also where the request is to be refused: the server says so in its own way. */
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
  // Nearly always the network has taken all of it by now.
  if (!response.writableFinished) unread.track(response, caller, bytes);
}
