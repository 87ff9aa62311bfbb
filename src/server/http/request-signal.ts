/** For how long a request's answer is waited for: until it is sent, its client has gone, or its time is over. */
import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import { GraphQLError } from 'graphql';
import type { WriteProgress } from '../../engine/postgres/index.js';
import { ANSWER_TIMEOUT_MS } from '../../graphql/limits.js';

/** The signal aborts when nobody waits any more for an answer that has not been sent. `writes`: what the client is told of them then. */
export function requestSignal({ raw }: FastifyReply, writes: WriteProgress, ms = ANSWER_TIMEOUT_MS): AbortSignal {
  const gone = new AbortController();
  setMaxListeners(0, gone.signal); // every load of the request listens: as many as its cost allows, and none is a leak
  const timer = setTimeout(() => gone.abort(timedOut(ms, writes)), ms).unref();
  raw.once('close', () => {
    clearTimeout(timer);
    if (!raw.writableFinished) gone.abort(clientGone());
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

/** Read by nobody: it keeps what was given up from being logged as a fault. */
export function clientGone(): GraphQLError {
  return new GraphQLError('The client has closed the request.', {
    extensions: { code: 'CLIENT_CLOSED_REQUEST', http: { status: 499 } },
  });
}
