/**
 * GraphQL Yoga with its response cache on Redis: whole answers for 5 minutes, dropped by the entities of a mutation's answer (`invalidateViaMutation`).
 * Statistics are no entity of that answer: they are dropped through the cache's own call, before the mutation answers.
 */
import { createServer } from 'node:http';
import { createRedisCache } from '@envelop/response-cache-redis';
import { useResponseCache } from '@graphql-yoga/plugin-response-cache';
import { createSchema, createYoga } from 'graphql-yoga';
import { ready } from './child.js';
import { Loaders, type PlainContext, resolversFor, typeDefs } from './plain.js';
import { redis, TTL_S } from './redis.js';

const cache = createRedisCache({ redis });
const yoga = createYoga<PlainContext>({
  schema: createSchema<PlainContext>({
    typeDefs,
    resolvers: resolversFor(async ({ id, projectId }) =>
      cache.invalidate([
        { typename: 'Task', id },
        { typename: 'ProjectStats', id: projectId },
      ]),
    ),
  }),
  context: () => ({ loaders: new Loaders() }),
  plugins: [useResponseCache({ session: () => null, ttl: TTL_S * 1000, cache, invalidateViaMutation: true })],
  logging: false,
  graphiql: false,
  landingPage: false,
  multipart: false,
  batching: false,
});
const server = createServer(yoga);
server.listen(0, '127.0.0.1', () => ready(server));
