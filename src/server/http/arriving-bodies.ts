/**
 * Limits the bytes of request bodies that are being received, per caller and per process. A client may send slowly, and
 * its body is buffered until it is complete. Small bodies are always accepted.
 */
import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import { headerMap } from '../../graphql/http-headers.js';
import { MAX_BODY_BYTES } from '../../graphql/limits.js';
import { BytesByCaller } from './bytes-by-caller.js';

/** A body up to this size is always accepted; a caller has at most some thousands of connections. */
const SMALL_BYTES = 16 * 1024;
/** Limit per caller: eight bodies of the maximum size. */
const MAX_BYTES_OF_CALLER = 8 * MAX_BODY_BYTES;
const MAX_BYTES = 128 * MAX_BODY_BYTES;
const RETRY_AFTER_SECONDS = 2;

export class ArrivingBodies {
  readonly #arriving = new BytesByCaller();

  /**
   * Counts a request's body by its Content-Length until it is complete or the client has gone. Without a length the
   * maximum size is assumed. @throws TOO_MANY_REQUEST_BODIES, before the body is read
   */
  admit(request: IncomingMessage, caller: string): void {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const bytes = encoding === undefined ? Number(length ?? 0) : MAX_BODY_BYTES;
    if (bytes <= SMALL_BYTES || bytes > MAX_BODY_BYTES) return; // larger bodies are refused by their length
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
