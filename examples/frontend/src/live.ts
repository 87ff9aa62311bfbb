/** Subscriptions over a WebSocket: changes of tasks and of a project, made by others, show without a request. */
import { ApolloClient, ApolloLink } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { type Exchange, type ExecutionResult, subscriptionExchange } from '@urql/core';
import { OperationTypeNode } from 'graphql';
import { createClient, type Client as Socket, type ClientOptions as SocketOptions } from 'graphql-ws';
import { type ClientOptions, createCache, httpLink } from './apollo.js';
import { pauseBetween } from './live-transport.js';

/**
 * One connection for all subscriptions and live queries of a client; it ends when the token does, and is opened again with the next one.
 * `more`: elsewhere than in a browser the `webSocketImpl`.
 */
export function openSocket(
  { url, token }: Pick<ClientOptions, 'url' | 'token'>,
  more: Partial<SocketOptions> = {},
): Socket {
  return createClient({
    url: url.replace(/^http/, 'ws'),
    connectionParams: () => ({ authorization: `Bearer ${token}` }),
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: pauseBetween,
    ...more,
  });
}

/** What a subscription brings goes into the cache like any answer, and every list shows it. */
export function createLiveApolloClient(options: ClientOptions, socket: Socket): ApolloClient {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    httpLink(options),
  );
  return new ApolloClient({ link, cache: createCache() });
}

/** For `more` of `createUrqlClient`. */
export function liveExchange(socket: Socket): Exchange {
  return subscriptionExchange({
    forwardSubscription: ({ query, variables }) => ({
      subscribe: (sink) => ({
        unsubscribe: socket.subscribe(
          { query: query ?? '', variables: variables as Record<string, unknown> },
          { ...sink, next: ({ data = null, ...rest }) => sink.next({ data, ...rest } as ExecutionResult) },
        ),
      }),
    }),
  });
}
