/**
 * Live queries for urql. A query that carries `@live` goes over the WebSocket, and each message of the server is its
 * whole answer: `useQuery` renders again whenever the answer changes. Everything else goes on to the next exchange.
 */
import {
  type Exchange,
  type ExecutionResult,
  makeErrorResult,
  makeResult,
  type Operation,
  type OperationResult,
  stringifyDocument,
} from '@urql/core';
import type { Client as Socket } from 'graphql-ws';
import { filter, make, merge, mergeMap, pipe, takeUntil } from 'wonka';
import { keepEqual } from './keep-equal.js';

export function liveExchange(socket: Socket): Exchange {
  return ({ forward }) =>
    (operations) => {
      /** Nothing shows the query any more. */
      const end = ({ key }: Operation) =>
        pipe(
          operations,
          filter((other) => other.kind === 'teardown' && other.key === key),
        );
      const answers = pipe(
        operations,
        filter(isLive),
        mergeMap((operation) => pipe(answersOf(operation, socket), takeUntil(end(operation)))),
      );
      const others = pipe(
        operations,
        filter((operation) => !isLive(operation)),
        forward,
      );
      return merge([answers, others]);
    };
}

function isLive({ kind, query }: Operation): boolean {
  return (
    kind === 'query' &&
    query.definitions.some((definition) => definition.directives?.some(({ name }) => name.value === 'live'))
  );
}

/** After a lost connection graphql-ws subscribes again by itself, and the first answer is a fresh one. */
function answersOf(operation: Operation, socket: Socket) {
  const { query, variables } = operation;
  return make<OperationResult>(({ next, complete }) => {
    let shown: ExecutionResult['data'] = null;
    const answered = (answer: ExecutionResult) => {
      shown = keepEqual(shown, answer.data ?? null);
      // `hasNext` keeps urql from sending the query once more for each component that shows it.
      next({ ...makeResult(operation, { ...answer, data: shown }), hasNext: true });
    };
    return socket.subscribe(
      { query: stringifyDocument(query), variables: variables as Record<string, unknown> },
      {
        next: ({ data = null, errors }) => answered({ data, ...(errors && { errors: [...errors] }) }),
        error(reason) {
          next(
            Array.isArray(reason)
              ? makeResult(operation, { errors: reason })
              : makeErrorResult(operation, asError(reason)),
          );
          complete();
        },
        complete,
      },
    );
  });
}

/** The last connection failed in a way that graphql-ws does not try again after. */
function asError(reason: unknown): Error {
  if (reason instanceof Error) return reason;
  return new Error((reason as { reason?: string }).reason || 'There is no connection to the API');
}
