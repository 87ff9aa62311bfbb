/**
 * Limits the bytes of responses that clients have not read yet, per caller and per process, messages over WebSockets
 * and server-sent events included. A client that reads nothing is disconnected after a time. A caller that requests
 * more than it reads is refused, and others are still served.
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { GraphQLError } from 'graphql';
import { headerMap } from '../../graphql/http-headers.js';
import { READ_WITHIN_MS, STALL_MS } from '../../platform/subscription-limits.js';
import { BytesByCaller } from './bytes-by-caller.js';

/** Default of MAX_UNREAD_MB, in bytes. */
export const MAX_UNREAD_BYTES = 64 * 1024 * 1024;
/** A caller may use at most one fourth of all unread bytes. */
const CALLERS = 4;
/**
 * A response up to this size is sent even if the process has no room, so viewers with small pages are not affected by
 * others.
 */
export const SMALL_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 2;
/** Least time between two checks of what waits for room: bytes are released thousands of times a second. */
const WAKE_EVERY_MS = 50;

export interface UnreadResponsesOptions {
  readonly maxBytes?: number | undefined;
  readonly stallMs?: number | undefined;
}

/** A connection that waits for room for its next answer. */
interface RoomRequest {
  readonly caller: string;
  readonly bytes: number;
  readonly begin: () => void;
}

export class UnreadResponses {
  readonly #maxBytes: number;
  readonly #maxBytesOfCaller: number;
  readonly #stallMs: number;
  readonly #unread = new BytesByCaller(() => this.#wakeSoon());
  /** In the order in which they came. Each connection has at most one. */
  readonly #waiting = new Set<RoomRequest>();
  #wake: NodeJS.Timeout | undefined;

  constructor({ maxBytes = MAX_UNREAD_BYTES, stallMs = STALL_MS }: UnreadResponsesOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#maxBytesOfCaller = maxBytes / CALLERS;
    this.#stallMs = stallMs;
  }

  /** Unread bytes of all callers. */
  get bytes(): number {
    return this.#unread.total;
  }

  /** Whether a response of `bytes` can be sent. The first one of a caller always can if the process has room. */
  allows(caller: string, bytes: number): boolean {
    if (this.#unread.total === 0) return true;
    const own = this.#unread.of(caller);
    if (own > 0 && own + bytes > this.#maxBytesOfCaller) return false;
    return bytes <= SMALL_BYTES || this.#unread.total + bytes <= this.#maxBytes;
  }

  /** Whether the caller has so much unread that no operation is run for it, mutations included. */
  isBehind(caller: string): boolean {
    return this.#unread.total > 0 && this.#unread.of(caller) > this.#maxBytesOfCaller / 2;
  }

  /** Counts a response until its client has read it or has gone. Call it when, or just before, the response is sent. */
  track(response: ServerResponse, caller: string, bytes: number): void {
    // A response behind others of its connection (HTTP pipelining) has none of its own yet.
    const { socket } = response.req;
    // Node closes a connection without progress after this time; after the response Node sets its own time for idle
    // connections.
    // Fastify's `inject` has no connection.
    if (socket instanceof Socket) socket.setTimeout(this.#stallMs);
    const timer = setTimeout(() => socket.destroy(), READ_WITHIN_MS).unref();
    this.#unread.hold(caller, bytes, {
      stream: response,
      events: ['finish', 'close'],
      onEnd: () => clearTimeout(timer),
    });
  }

  /** Counts `bytes` until the returned function is called. */
  hold(caller: string, bytes: number): () => void {
    return this.#unread.holdUntilReleased(caller, bytes);
  }

  /**
   * Calls `begin` when there is room for `bytes`: at once, or up to 50 ms after it has come. It must `hold` them before
   * it returns.
   * @returns a function that ends the wait
   */
  whenAllowed(caller: string, bytes: number, begin: () => void): () => void {
    if (this.allows(caller, bytes)) {
      begin();
      return () => {};
    }
    const waiting = { caller, bytes, begin };
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  }

  #wakeSoon(): void {
    if (this.#waiting.size === 0) return;
    this.#wake ??= setTimeout(() => {
      this.#wake = undefined;
      for (const waiting of this.#waiting) {
        if (!this.allows(waiting.caller, waiting.bytes)) continue;
        this.#waiting.delete(waiting);
        waiting.begin();
      }
    }, WAKE_EVERY_MS).unref();
  }
}

/** A refused query loses nothing. A mutation that has run is always answered. */
export function tooManyUnread(): GraphQLError {
  const headers = headerMap([['retry-after', String(RETRY_AFTER_SECONDS)]]);
  return new GraphQLError('Too many unread responses: read them, then send this request again.', {
    extensions: { code: 'TOO_MANY_UNREAD_RESPONSES', http: { status: 503, headers } },
  });
}
