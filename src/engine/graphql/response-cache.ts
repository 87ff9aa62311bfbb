/**
 * Whole answers, kept in this process as they were sent: one more entry of its memory, worth nothing after a record of any tag that its
 * execution read under. An answer is served only on a read of the log that was sent after the request came; so it is the database of
 * that moment, and costs no execution. Named by the viewer and by what of the request tells one answer from another, to the byte: the
 * body with document, variables and operation name, the media type, the origin.
 *
 * Never kept: mutations, errors, what was traced, what was read under a fence or without a lease, and what depends on anything but
 * the cached reads of its read set (see `Context.readSet`). Not kept in Redis: an answer's tags are known only when it is made, so
 * reading one would take a trip for the answer and another for its tags, where the rows it is made of take no more.
 */
import type { IncomingMessage } from 'node:http';
import type { Cache, Key, ReadSet } from '../cache/index.js';

/** A longer body is not looked for. */
export const MAX_REQUEST_BYTES = 16 * 1024;
/** A larger answer is made anew each time. */
const MAX_RESPONSE_CHARS = 256 * 1024;
/** Headers that make an answer more, or another, than its data. */
const BYPASS_HEADERS = ['x-cache-trace', 'x-consistency', 'apollo-cache-debugging'];
/** Of one response alone. */
const PER_RESPONSE_HEADERS = new Set([
  ...['connection', 'content-length', 'date', 'keep-alive', 'server-timing', 'transfer-encoding'],
  ...['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'],
]);

export interface CachedResponse {
  readonly text: string;
  /** Names and values in turn, as `writeHead` takes them. */
  readonly headers: readonly string[];
  /** What answering it is worth in points: nobody gets past a rate limit by asking for what is known. */
  readonly cost: number;
}

/** What of a request names its answer, but for the viewer. */
export type RequestKey = string & { readonly brand: 'question' };

/** Whether this is a query in the usual way. Whatever else it is goes through every check of the server. */
export function isCacheable({ method, headers }: IncomingMessage): boolean {
  if (method !== 'POST' || headers.authorization === undefined) return false;
  const type = headers['content-type'];
  if (type !== 'application/json' && type?.startsWith('application/json;') !== true) return false;
  if (headers['content-encoding'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
  const bytes = Number(headers['content-length']);
  return bytes > 0 && bytes <= MAX_REQUEST_BYTES && !BYPASS_HEADERS.some((name) => headers[name] !== undefined);
}

export function requestKeyOf({ headers }: IncomingMessage, body: Buffer): RequestKey {
  // No header holds a line feed, so none can pass for another or for a part of the body. Latin-1 tells any two bodies apart, and
  // takes one byte for each of theirs.
  const { accept = '', origin = '', 'content-type': type } = headers;
  return `${accept}\n${origin}\n${type}\n${body.toString('latin1')}` as RequestKey;
}

export class ResponseCache {
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Whether there is one that may still hold. */
  has(question: RequestKey, viewer: string): boolean {
    return this.#cache.hasAnswer(keyOf(question, viewer));
  }

  /** The answer to this question now, if it is known and proved to be what execution would say. */
  async find(question: RequestKey, viewer: string, readSet: ReadSet): Promise<CachedResponse | undefined> {
    return (await this.#cache.findAnswer(readSet, keyOf(question, viewer))) as CachedResponse | undefined; // as `keep` left it
  }

  /** Keeps what the read set's reads have made, if that can be proved from now on. */
  keep(
    question: RequestKey,
    viewer: string,
    readSet: ReadSet,
    sent: { readonly text: string; readonly headers: object; readonly cost: number },
  ): void {
    const { text, headers, cost } = sent;
    if (text.length > MAX_RESPONSE_CHARS) return;
    const lasting = Object.entries(headers).filter(([name]) => !PER_RESPONSE_HEADERS.has(name));
    const answer: CachedResponse = { text, cost, headers: lasting.flatMap(([name, value]) => [name, String(value)]) };
    const key = keyOf(question, viewer);
    this.#cache.storeAnswer(readSet, key, answer, 2 * text.length + key.length + String(answer.headers).length);
  }
}

/** No policy has a name with a space. */
function keyOf(question: RequestKey, viewer: string): Key {
  return `answer ${viewer} ${question}` as string as Key;
}
