/** The lifetime of a request: until its answer is sent, its client has gone, or its time limit has passed. */
import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { GraphQLError } from 'graphql';
import type { WriteProgress } from '../../engine/postgres/index.js';
import { ANSWER_TIMEOUT_MS } from '../../graphql/limits.js';

/**
 * Aborts when an answer that has not been sent is no longer needed. `writes` goes into the error then sent.
 */
export function requestSignal(response: ServerResponse, writes: WriteProgress, ms = ANSWER_TIMEOUT_MS): AbortSignal {
  const gone = new AbortController();
  // Every load of the request listens; their number is bounded by the cost limit, so this is not a leak.
  setMaxListeners(0, gone.signal);
  const timer = setTimeout(() => gone.abort(timedOut(ms, writes)), ms).unref();
  response.once('close', () => {
    clearTimeout(timer);
    if (!response.writableFinished) gone.abort(clientGone());
  });
  return gone.signal;
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
