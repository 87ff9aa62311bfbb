/**
 * The headers of a successful response to a POST, as Fastify's hooks and Apollo set them. They depend on some headers of
 * the request and on nothing else, so they are recorded once for each combination of these and then used again.
 */
import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { lastingHeaders } from '../../engine/graphql/index.js';

/** Clients choose the headers, so the memory used is bounded, in characters. */
const MAX_CHARS = 1024 * 1024;

export class RecordedHeaders {
  /** Names and values alternate. */
  readonly #recorded = new LRUCache<string, readonly string[]>({
    maxSize: MAX_CHARS,
    sizeCalculation: (headers, key) => key.length + headers.reduce((sum, { length }) => sum + length, 0),
  });

  /** @returns those that are the same for each response, names and values in turn */
  find(message: IncomingMessage): readonly string[] | undefined {
    return this.#recorded.get(keyOf(message));
  }

  /** `headers`: of a response with data and without errors. @returns as `find` does */
  record(message: IncomingMessage, headers: object): readonly string[] {
    const key = keyOf(message);
    const recorded = this.#recorded.get(key) ?? lastingHeaders(headers);
    this.#recorded.set(key, recorded);
    return recorded;
  }
}

function keyOf({ headers }: IncomingMessage): string {
  const { accept = '', host = '', origin = '', 'content-type': type = '' } = headers;
  return `${accept}\n${host}\n${origin}\n${type}`;
}
