/**
 * Finds, sends and keeps cached responses. For a cached response a request does only what cannot be skipped: its token
 * is verified, its rate limits are applied, and the response is proved to be still valid.
 */
import type { ServerResponse } from 'node:http';
import type { UserId } from '../../db/ids.js';
import type { Cache } from '../../engine/cache/index.js';
import { type CachedResponse, ResponseCache } from '../../engine/graphql/index.js';
import type { RateState } from '../../graphql/rate-state.js';
import type { AnsweredFrom, RequestMetrics } from '../../platform/request-metrics.js';
import type { Sender } from '../admission.js';
import { type ApiRequest, REQUEST_ID_HEADER, type Received } from '../api-request.js';
import { headersOf, type RateLimits } from '../rate-limit/rate-limit.js';
import { CompressedTexts, type Encoding, type EncodingFor } from './compression.js';
import type { UnreadResponses } from './unread-responses.js';

/** In points. It neither runs nor loads anything, whatever its operation costs. */
const CACHED_COST = 1;

export interface CachedResponsesOptions {
  readonly cache: Cache;
  readonly rateLimits?: RateLimits | undefined;
  readonly unread: UnreadResponses;
  readonly encodingFor: EncodingFor;
  readonly requests: RequestMetrics;
}

/** A response that is proved, paid for and within its caller's limits. */
export interface FoundResponse {
  readonly answer: CachedResponse;
  readonly as: 'kept' | 'known';
  readonly from: AnsweredFrom | undefined;
  readonly policiesSaved: number;
  readonly caller: string;
  /** Absent without a rate limit. */
  readonly paid: RateState | undefined;
}

interface Outgoing {
  readonly response: ServerResponse;
  readonly body: string | Buffer;
  /** Absent: the body is the text. */
  readonly encoding?: Encoding;
}

export class CachedResponses {
  readonly #responses: ResponseCache;
  readonly #rateLimits: RateLimits | undefined;
  readonly #unread: UnreadResponses;
  readonly #encodingFor: EncodingFor;
  readonly #requests: RequestMetrics;
  #closing = false;
  readonly #compressed = new CompressedTexts<CachedResponse>();

  constructor({ cache, rateLimits, unread, encodingFor, requests }: CachedResponsesOptions) {
    this.#responses = new ResponseCache(cache);
    this.#rateLimits = rateLimits;
    this.#unread = unread;
    this.#encodingFor = encodingFor;
    this.#requests = requests;
  }

  /** From now on clients are asked to disconnect: a connection that is kept alive would keep the server from closing. */
  close(): void {
    this.#closing = true;
  }

  /** @throws RATE_LIMITED */
  async find({ key, readSet }: Received, { identity, caller }: Sender): Promise<FoundResponse | undefined> {
    const finding = identity && this.#responses.find(key, identity.userId, readSet);
    const answer = finding && (await finding);
    if (answer === undefined || !this.#unread.allows(caller, answer.text.length)) return undefined;
    const paid = await this.#rateLimits?.consume(caller, CACHED_COST);
    return { answer, as: 'kept', from: 'kept', policiesSaved: answer.policiesRead ?? 0, caller, paid };
  }

  send(found: FoundResponse, request: ApiRequest, response: ServerResponse): void {
    const { text } = found.answer;
    const encoding = this.#encodingFor(response.req.headers['accept-encoding'], text.length);
    const plain = () => this.#write(found, request, { response, body: text });
    if (encoding === undefined) plain();
    else {
      const send = (body: Buffer) => this.#write(found, request, { response, body, encoding });
      void this.#compressed.of(found.answer, encoding).then(send, plain);
    }
  }

  #write(found: FoundResponse, { id, startedMs }: ApiRequest, to: Outgoing): void {
    const { answer, as, from, policiesSaved, caller, paid } = found;
    const { response, body, encoding } = to;
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const own = ['content-length', String(bytes), REQUEST_ID_HEADER, id];
    if (encoding !== undefined) own.push('content-encoding', encoding);
    const ms = performance.now() - startedMs;
    own.push('server-timing', `total;dur=${ms.toFixed(2)}`);
    if (paid !== undefined) own.push(...headersOf(paid).flat());
    if (this.#closing) response.shouldKeepAlive = false;
    response.writeHead(200, [...answer.headers, ...own]);
    response.end(body);
    const { operation } = answer;
    this.#requests.answered({ id, caller, operation, as, status: 200, ms, from, policiesSaved });
    // By now the network has usually taken all of it.
    if (!response.writableFinished) this.#unread.track(response, caller, bytes);
  }

  /** Keeps a response that is about to be sent, if its read set can prove it later. */
  keep({ key, readSet }: Received, viewerId: UserId, response: CachedResponse): void {
    this.#responses.keep(key, viewerId, readSet, response);
  }
}
