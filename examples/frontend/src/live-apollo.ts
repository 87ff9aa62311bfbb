/** Live queries through Apollo Client: each answer goes into the cache like that of any query, and everything that shows its data follows. */
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, Observable } from '@apollo/client';
import { print } from 'graphql';
import { type ClientOptions, createCache, httpLink } from './apollo.js';
import { isLive, type LiveTransport } from './live-transport.js';

/** Sends an operation over the transport; every answer is a result of its own. */
export class LiveQueryLink extends ApolloLink {
  constructor(transport: LiveTransport) {
    super(({ query, variables }) => {
      const request = { query: print(query), variables };
      return new Observable<ApolloLink.Result>((observer) =>
        transport.subscribe(request, {
          next: (answer) => observer.next(answer),
          error: (error) => observer.error(Array.isArray(error) ? new CombinedGraphQLErrors({ errors: error }) : error),
          complete: () => observer.complete(),
        }),
      );
    });
  }
}

export function createLiveQueryApolloClient(options: ClientOptions, transport: LiveTransport): ApolloClient {
  const link = ApolloLink.split(({ query }) => isLive(query), new LiveQueryLink(transport), httpLink(options));
  return new ApolloClient({ link, cache: createCache() });
}

/** For `watchQuery` and `useQuery` of a live query. */
export const LIVE = {
  fetchPolicy: 'cache-and-network', // else the cache may answer it alone; with `network-only` it would not show the own mutations
  errorPolicy: 'all', // else the first answer with errors ends it
  context: { queryDeduplication: false }, // which keeps all answers of a request that is under way, so for as long as it is live
} as const;
