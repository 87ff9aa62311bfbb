/**
 * Bodies of requests that are on their way, in bytes: bounded for each caller and for the process. A client may take its time to send
 * one, and each is kept until it is whole. A small one is always read.
 */
import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import { headerMap } from '../../graphql/http-headers.js';
import { MAX_BODY_BYTES } from '../../graphql/limits.js';
import { BytesByCaller } from './bytes-by-caller.js';

/** A body up to this size is read in any case: a caller has at most some thousands of connections. */
const SMALL_BYTES = 16 * 1024;
/** Of one caller: eight of the largest. */
const MAX_BYTES_OF_CALLER = 8 * MAX_BODY_BYTES;
const MAX_BYTES = 128 * MAX_BODY_BYTES;
const RETRY_AFTER_SECONDS = 2;

export class ArrivingBodies {
  readonly #arriving = new BytesByCaller();

  /**
   * Counts a request's body, by the length that its head names, until it has come or its client has gone. Without a length it may
   * become as large as any. @throws TOO_MANY_REQUEST_BODIES, before the body is read
   */
  admit(request: IncomingMessage, caller: string): void {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const bytes = encoding === undefined ? Number(length ?? 0) : MAX_BODY_BYTES;
    if (bytes <= SMALL_BYTES || bytes > MAX_BODY_BYTES) return; // what is too large is refused by its length
    const { total } = this.#arriving;
    if (this.#arriving.of(caller) + bytes > MAX_BYTES_OF_CALLER || total + bytes > MAX_BYTES) throw tooManyBodies();
    this.#arriving.hold(caller, bytes, { stream: request, events: ['end', 'close'] });
  }
}

function tooManyBodies(): GraphQLError {
  const headers = headerMap([['retry-after', String(RETRY_AFTER_SECONDS)]]);
  return new GraphQLError('Too many large requests are being sent at once: wait until one has been answered.', {
    extensions: { code: 'TOO_MANY_REQUEST_BODIES', http: { status: 503, headers } },
  });
}
