/** Live queries through urql: each answer goes into graphcache like that of any query, and everything that shows its data follows. */
import {
  type Exchange,
  type ExecutionResult,
  makeErrorResult,
  makeResult,
  type Operation,
  type OperationResult,
  stringifyDocument,
} from '@urql/core';
import { filter, make, merge, mergeMap, pipe, type Source, takeUntil } from 'wonka';
import { isLive, type LiveTransport } from './live-transport.js';

/**
 * For `more` of `createUrqlClient`. Not urql's `subscriptionExchange`: it merges each answer into the one before, so that errors and
 * deleted data stay.
 */
export function liveQueryExchange(transport: LiveTransport): Exchange {
  const isLiveQuery = ({ kind, query }: Operation) => kind === 'query' && isLive(query);
  return ({ forward }) =>
    (operations$) => {
      const others$ = pipe(
        operations$,
        filter((operation) => !isLiveQuery(operation)),
      );
      const live$ = pipe(
        operations$,
        filter(isLiveQuery),
        mergeMap((operation) => {
          const tornDownOrRestarted$ = pipe(
            operations$,
            filter(({ key }) => key === operation.key),
          );
          return pipe(answersTo(operation, transport), takeUntil(tornDownOrRestarted$));
        }),
      );
      return merge([live$, forward(others$)]);
    };
}

function answersTo(operation: Operation, transport: LiveTransport): Source<OperationResult> {
  const request = {
    query: stringifyDocument(operation.query),
    variables: operation.variables as Record<string, unknown>,
  };
  return make(({ next, complete }) =>
    transport.subscribe(request, {
      next: (answer) => next(makeResult(operation, answer as ExecutionResult)),
      error: (error) =>
        next(
          Array.isArray(error) ? makeResult(operation, { errors: error }) : makeErrorResult(operation, error as Error),
        ),
      complete,
    }),
  );
}
