/**
 * Whole answers, kept in this process as the text that was sent: one more entry of its memory, under document, variables, operation
 * name, viewer and media type, dropped by the record of any tag that its execution read under. An answer is served only on a read
 * of the log that was sent after the request came; so it is the database of that moment, and costs no execution.
 *
 * Never kept: mutations, errors, what was traced, what was read under a fence or without a lease, and what depends on anything but
 * the cached reads of its session (see `Context.session`). Not kept in Redis: an answer's tags are known only when it is made, so
 * reading one would take a trip for the answer and another for its tags, where the rows it is made of take no more.
 */
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Cache, Key, Session } from '../cache/index.js';
import type { UserId } from '../db/ids.js';

/** Of all documents with an answer, in characters: what names one in keys is a number. */
const MAX_DOCUMENT_CHARS = 4 * 1024 * 1024;
/** Of variables, as JSON. */
const MAX_VARIABLES_CHARS = 4096;
const MAX_ACCEPT_CHARS = 256;
/** A larger answer is made anew each time. */
const MAX_ANSWER_CHARS = 256 * 1024;

export interface Answer {
  readonly text: string;
  readonly contentType: string;
  /** What answering it is worth in points: nobody gets past a rate limit by asking for what is known. */
  readonly cost: number;
}

/** What of a request names its answer, but for the viewer. */
export interface Question {
  readonly document: string;
  readonly rest: string;
}

export class Answers {
  readonly #cache: Cache;
  /** By the text or digest of a document. A number is never given twice. */
  readonly #numbers = new LRUCache<string, number>({
    maxSize: MAX_DOCUMENT_CHARS,
    sizeCalculation: (_, document) => document.length,
  });
  #last = 0;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** The answer to this question now, if it is known and proved to be what execution would say. */
  async find(question: Question, viewerId: UserId, session: Session): Promise<Answer | undefined> {
    const number = this.#numbers.get(question.document);
    if (number === undefined) return undefined;
    return (await this.#cache.find(session, keyOf(number, viewerId, question))) as Answer | undefined; // as `keep` left it
  }

  /** Keeps what the session's reads have made, if that can be proved from now on. */
  keep(question: Question, viewerId: UserId, session: Session, answer: Answer): void {
    if (answer.text.length > MAX_ANSWER_CHARS) return;
    const number = this.#numbers.get(question.document) ?? ++this.#last;
    this.#numbers.set(question.document, number);
    const key = keyOf(number, viewerId, question);
    this.#cache.keep(session, key, answer, 2 * (answer.text.length + key.length));
  }
}

/** No policy has a name with a space. */
function keyOf(number: number, viewerId: UserId, { rest }: Question): Key {
  return `answer ${number} ${viewerId} ${rest}` as Key;
}

/** Headers that make an answer more, or another, than its data. */
const TELLING_HEADERS = ['x-cache-trace', 'x-consistency', 'apollo-cache-debugging'];

/** Undefined for what is not asked in the usual way: it goes through every check of the server. */
export function questionOf({ method, headers, body }: FastifyRequest): Question | undefined {
  if (method !== 'POST' || !isJson(headers['content-type'])) return undefined;
  if (TELLING_HEADERS.some((name) => headers[name] !== undefined)) return undefined;
  const { accept = '' } = headers;
  if (accept.length > MAX_ACCEPT_CHARS || typeof body !== 'object' || body === null) return undefined;
  const { query, variables, operationName, extensions } = body as Record<string, unknown>;
  const document = documentOf(query, extensions);
  if (document === undefined) return undefined;
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') return undefined;
  if (variables !== undefined && (typeof variables !== 'object' || Array.isArray(variables))) return undefined;
  const given = JSON.stringify(variables ?? null);
  if (given.length > MAX_VARIABLES_CHARS) return undefined;
  return { document, rest: `${JSON.stringify([operationName ?? null, accept])}${given}` };
}

/** A text, or the digest by which one was registered; both together register it, which is not ours to do. */
function documentOf(query: unknown, extensions: unknown): string | undefined {
  const registered =
    typeof extensions === 'object' && extensions !== null && 'persistedQuery' in extensions
      ? extensions.persistedQuery
      : undefined;
  if (registered === undefined) return typeof query === 'string' ? query : undefined;
  if (query !== undefined || typeof registered !== 'object' || registered === null) return undefined;
  const { version, sha256Hash } = registered as { version?: unknown; sha256Hash?: unknown };
  return version === 1 && typeof sha256Hash === 'string' ? `sha256:${sha256Hash}` : undefined;
}

function isJson(type: string | undefined): boolean {
  return type === 'application/json' || type?.startsWith('application/json;') === true;
}
