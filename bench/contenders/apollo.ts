/**
 * Apollo Server on Fastify, its fastest integration. `uncached`: with DataLoader alone, its cache hints off, which cost most of what it does by
 * itself. `cached`: @apollo/server-plugin-response-cache on Redis, whole answers for 5 minutes; it has no way to invalidate.
 */
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginCacheControl } from '@apollo/server/plugin/cacheControl';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import responseCache from '@apollo/server-plugin-response-cache';
import fastifyApollo from '@as-integrations/fastify';
import fastify from 'fastify';
import { options, ready } from './child.js';
import { Loaders, type PlainContext, resolversFor, typeDefs } from './plain.js';
import { redis, TTL_S } from './redis.js';

const cache = {
  get: async (key: string) => (await redis.get(key)) ?? undefined,
  async set(key: string, value: string, { ttl }: { ttl?: number | null } = {}) {
    await redis.set(key, value, 'EX', ttl ?? TTL_S);
  },
  delete: async (key: string) => (await redis.del(key)) > 0,
};

const plugins =
  options.mode === 'cached'
    ? [
        ApolloServerPluginCacheControl({ defaultMaxAge: TTL_S, calculateHttpHeaders: false }),
        responseCache<PlainContext>({ cache }),
      ]
    : [ApolloServerPluginCacheControlDisabled()];
const apollo = new ApolloServer<PlainContext>({
  typeDefs,
  resolvers: resolversFor(() => undefined),
  plugins: [...plugins, ApolloServerPluginLandingPageDisabled()],
  persistedQueries: false,
  csrfPrevention: false,
  introspection: false,
  stopOnTerminationSignals: false,
});
await apollo.start();
const app = fastify();
await app.register(fastifyApollo(apollo), { path: '/graphql', context: async () => ({ loaders: new Loaders() }) });
await app.listen({ host: '127.0.0.1', port: 0 });
ready(app.server);
