/**
 * Responses that their clients have not read yet, in bytes: bounded for each caller and for the process. A client that reads nothing is
 * disconnected after a time; one that asks for more than it reads is refused, and others are served.
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { GraphQLError } from 'graphql';
import { headerMap } from '../../graphql/http-headers.js';
import { MINUTE, SECOND } from '../../std/time.js';
import { BytesByCaller } from './bytes-by-caller.js';

/** Default of MAX_UNREAD_MB, in bytes. */
export const MAX_UNREAD_BYTES = 64 * 1024 * 1024;
/** One caller has at most this part of all unread bytes: a quarter. */
const CALLERS = 4;
/** A response up to this size is sent also when the process has no room: a viewer with small pages does not notice the others. */
const SMALL_BYTES = 64 * 1024;
/** How long a connection lasts on which the network takes no byte. */
const STALL_MS = 20 * SECOND;
/** How long a response may take, however slowly it is read: 4 MiB at 300 kbit/s. */
const READ_WITHIN_MS = 2 * MINUTE;
const RETRY_AFTER_SECONDS = 2;

export interface UnreadResponsesOptions {
  readonly maxBytes?: number | undefined;
  readonly stallMs?: number | undefined;
}

export class UnreadResponses {
  readonly #maxBytes: number;
  readonly #maxBytesOfCaller: number;
  readonly #stallMs: number;
  readonly #unread = new BytesByCaller();

  constructor({ maxBytes = MAX_UNREAD_BYTES, stallMs = STALL_MS }: UnreadResponsesOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#maxBytesOfCaller = maxBytes / CALLERS;
    this.#stallMs = stallMs;
  }

  /** Unread now, of all callers. */
  get bytes(): number {
    return this.#unread.total;
  }

  /** Whether a response of `bytes` may be sent. The first one of a caller always may, if the process has room. */
  allows(caller: string, bytes: number): boolean {
    if (this.#unread.total === 0) return true;
    const own = this.#unread.of(caller);
    if (own > 0 && own + bytes > this.#maxBytesOfCaller) return false;
    return bytes <= SMALL_BYTES || this.#unread.total + bytes <= this.#maxBytes;
  }

  /** Whether the caller has so much to read that nothing is run for it, a mutation neither. */
  isBehind(caller: string): boolean {
    return this.#unread.total > 0 && this.#unread.of(caller) > this.#maxBytesOfCaller / 2;
  }

  /** Counts a response until its client has taken it, or has gone. To be called when it is sent, or just before. */
  track(response: ServerResponse, caller: string, bytes: number): void {
    // Node itself ends a connection on which nothing moves for so long; after the response it sets its own time for idle ones.
    if (response.socket instanceof Socket) response.socket.setTimeout(this.#stallMs); // Fastify's `inject` has no connection
    const timer = setTimeout(() => response.destroy(), READ_WITHIN_MS).unref();
    this.#unread.hold(caller, bytes, {
      stream: response,
      events: ['finish', 'close'],
      onEnd: () => clearTimeout(timer),
    });
  }
}

/** Nothing is lost with a query. A mutation that has run is always answered. */
export function tooManyUnread(): GraphQLError {
  const headers = headerMap([['retry-after', String(RETRY_AFTER_SECONDS)]]);
  return new GraphQLError('Too many responses wait to be read: read them, then send this request again.', {
    extensions: { code: 'TOO_MANY_UNREAD_RESPONSES', http: { status: 503, headers } },
  });
}
