/** The lifetime of a request: until its answer is sent, its client has gone, or its time limit has passed. */
import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { GraphQLError } from 'graphql';
import type { WriteProgress } from '../../engine/postgres/index.js';
import { ANSWER_TIMEOUT_MS } from '../../graphql/limits.js';

/** Calls `over` once, when an answer is no longer waited for: with the reason if it has not been sent. */
export type Waiting = (over: (unsent?: GraphQLError) => void) => void;

/** A response is waited for until it has been sent or its client has gone. */
export function untilClosed(response: ServerResponse): Waiting {
  return (over) => {
    const closed = () => over(response.writableFinished ? undefined : clientGone());
    if (response.destroyed) closed();
    else response.once('close', closed);
  };
}

/**
 * Ends when an answer that has not been sent is no longer needed. Watches for that only from when a load or a write
 * asks for the signal: all other waits of a request are short.
 */
export class RequestLifetime {
  readonly writes: WriteProgress = { begun: false, effective: false };
  readonly #waiting: Waiting;
  readonly #ms: number;
  readonly #startedMs = performance.now();
  #signal: AbortSignal | undefined;
  #giveUp: ((reason: unknown) => void) | undefined;

  constructor(waiting: Waiting, ms = ANSWER_TIMEOUT_MS) {
    this.#waiting = waiting;
    this.#ms = ms;
  }

  /** Aborts at the end. */
  get signal(): AbortSignal {
    this.#signal ??= this.#watch();
    return this.#signal;
  }

  throwIfOver(): void {
    this.#signal?.throwIfAborted();
  }

  /** The result of `work`, or the reason as soon as the lifetime ends. The work itself goes on. */
  until<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      work.then(resolve, reject);
      if (this.#signal?.aborted) reject(this.#signal.reason);
    });
  }

  #watch(): AbortSignal {
    const gone = new AbortController();
    // Every load of the request listens; their number is bounded by the cost limit, so this is not a leak.
    setMaxListeners(0, gone.signal);
    const end = (reason: GraphQLError) => {
      gone.abort(reason);
      this.#giveUp?.(reason);
    };
    const leftMs = this.#startedMs + this.#ms - performance.now();
    const timer = setTimeout(() => end(timedOut(this.#ms, this.writes)), leftMs).unref();
    this.#waiting((unsent) => {
      clearTimeout(timer);
      if (unsent !== undefined) end(unsent);
    });
    return gone.signal;
  }
}

function timedOut(ms: number, { begun }: WriteProgress): GraphQLError {
  const what = begun
    ? 'What the mutation has begun may still take effect: read the data before you send it again.'
    : 'Nothing was written: it is safe to send the request again.';
  return new GraphQLError(`There was no answer within ${ms} ms. ${what}`, {
    extensions: { code: 'REQUEST_TIMEOUT', outcome: begun ? 'UNKNOWN' : 'NOT_STARTED', http: { status: 503 } },
  });
}

/** Never sent. It keeps cancelled work from being logged as a fault. */
export function clientGone(): GraphQLError {
  return new GraphQLError('The client has closed the request.', {
    extensions: { code: 'CLIENT_CLOSED_REQUEST', http: { status: 499 } },
  });
}
