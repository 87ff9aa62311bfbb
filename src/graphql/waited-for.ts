/** For how long a request's answer is waited for: until it is sent, its client has gone, or its time is over. */
import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import { GraphQLError } from 'graphql';
import { ANSWER_TIMEOUT_MS } from './limits.js';

/** The signal aborts when nobody waits any more for an answer that has not been sent. */
export function waitedFor({ raw }: FastifyReply, ms = ANSWER_TIMEOUT_MS): AbortSignal {
  const gone = new AbortController();
  setMaxListeners(0, gone.signal); // every load of the request listens: as many as its cost allows, and none is a leak
  const timer = setTimeout(() => gone.abort(timedOut(ms, effective.has(gone.signal))), ms).unref();
  raw.once('close', () => {
    clearTimeout(timer);
    if (!raw.writableFinished) gone.abort(clientGone());
  });
  return gone.signal;
}

/** Requests that have begun to write: they go on when their time is over. */
const effective = new WeakSet<AbortSignal>();

/** From now on the request of this signal writes: a client that is told of a time-out is told that, too. */
export function beginsToWrite(signal: AbortSignal | undefined): void {
  if (signal !== undefined) effective.add(signal);
}

function timedOut(ms: number, mayHaveTakenEffect: boolean): GraphQLError {
  const effect = ' The mutation has begun and goes on: it may have taken effect, or may do so yet.';
  return new GraphQLError(`There was no answer within ${ms} ms.${mayHaveTakenEffect ? effect : ''}`, {
    extensions: { code: 'REQUEST_TIMEOUT', ...(mayHaveTakenEffect && { mayHaveTakenEffect }), http: { status: 503 } },
  });
}

/** Read by nobody: it keeps what was given up from being logged as a fault. */
function clientGone(): GraphQLError {
  return new GraphQLError('The client has closed the request.', {
    extensions: { code: 'CLIENT_CLOSED_REQUEST', http: { status: 499 } },
  });
}
