/**
 * Whole answers, kept in this process as they were sent. Each is one more entry of process memory and void after a
 * record of any tag that its execution read. An answer is served only on a log read that was sent after the request
 * came: then it is the answer of that moment, without execution. Its key is the viewer and every byte of the request
 * that can change the answer: the body with document, variables and operation name, the media types, the origin.
 *
 * Never kept: mutations, errors, traced requests, reads under a fence or without a lease, and anything that depends on
 * more than the cached reads of its read set (see `Context.readSet`). Not kept in Redis: the tags of an answer are
 * known only when it is made, so reading one would take a trip for the answer and another for its tags, while its rows
 * take no more than that.
 */
import type { IncomingMessage } from 'node:http';
import { ANSWER_KEY, type Cache, type Key, type ReadSet } from '../cache/index.js';

/** Longer bodies are not looked up. */
export const MAX_REQUEST_BYTES = 16 * 1024;
/** Larger answers are not kept. */
const MAX_RESPONSE_CHARS = 256 * 1024;
/** Headers that change the answer or add to it. */
const BYPASS_HEADERS = ['x-cache-trace', 'x-consistency', 'apollo-cache-debugging'];
/** Headers of a single response. */
const PER_RESPONSE_HEADERS = new Set([
  ...['connection', 'content-length', 'date', 'keep-alive', 'server-timing', 'transfer-encoding'],
  ...['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'x-request-id'],
]);

export interface CachedResponse {
  readonly text: string;
  /** Names and values alternate, as `writeHead` takes them. */
  readonly headers: readonly string[];
  /** Name of its operation, for metrics. */
  readonly operation?: string | undefined;
  /** For spans. */
  readonly documentHash?: string | undefined;
  /** How many policies the run that made it has read: statements that its repetition saves, or more. */
  readonly policiesRead?: number | undefined;
}

/** Identifies a request's answer for one viewer. */
export type RequestKey = string & { readonly brand: 'RequestKey' };

/** Whether the request is a query in the usual form. Other requests pass all checks of the server. */
export function isCacheable({ method, headers }: IncomingMessage): boolean {
  if (method !== 'POST' || headers.authorization === undefined) return false;
  const type = headers['content-type'];
  if (type !== 'application/json' && type?.startsWith('application/json;') !== true) return false;
  if (headers['content-encoding'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
  const bytes = Number(headers['content-length']);
  return bytes > 0 && bytes <= MAX_REQUEST_BYTES && !BYPASS_HEADERS.some((name) => headers[name] !== undefined);
}

export function requestKeyOf({ headers }: IncomingMessage, body: Buffer): RequestKey {
  // No header contains a line feed, so no header can pass for another or for a part of the body. Latin-1 maps different
  // bodies to different texts and takes one byte for each byte.
  const { accept = '', origin = '', 'content-type': type } = headers;
  return `${accept}\n${origin}\n${type}\n${body.toString('latin1')}` as RequestKey;
}

export class ResponseCache {
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** The answer to this request if one is kept and proved current. Makes no promise if none is kept. */
  find(requestKey: RequestKey, viewer: string, readSet: ReadSet): Promise<CachedResponse | undefined> | undefined {
    return this.#cache.findAnswer(readSet, keyOf(requestKey, viewer)) as
      | Promise<CachedResponse | undefined>
      | undefined;
  }

  /** Keeps the answer if its read set can prove it. */
  keep(requestKey: RequestKey, viewer: string, readSet: ReadSet, answer: CachedResponse): void {
    const { text, headers } = answer;
    if (text.length > MAX_RESPONSE_CHARS) return;
    const key = keyOf(requestKey, viewer);
    this.#cache.storeAnswer(readSet, key, answer, 2 * text.length + key.length + String(headers).length);
  }
}

/** The headers of a response that its repetition has, too: names and values alternate, as `writeHead` takes them. */
export function lastingHeaders(headers: object): string[] {
  const lasting = Object.entries(headers).filter(([name]) => !PER_RESPONSE_HEADERS.has(name));
  return lasting.flatMap(([name, value]) => [name, String(value)]);
}

function keyOf(requestKey: RequestKey, viewer: string): Key {
  return `${ANSWER_KEY}${viewer} ${requestKey}` as string as Key;
}
