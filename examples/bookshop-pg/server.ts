import 'reflect-metadata';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSchema } from 'type-graphql';
import { cache, db } from './cache.js';
import { AuthorResolver, BookResolver } from './resolvers.js';

const schema = cache.bind(await buildSchema({ resolvers: [AuthorResolver, BookResolver], validate: false }));
const server = new ApolloServer({ schema, plugins: [cache.apollo()] });
const { url } = await startStandaloneServer(server, { listen: { port: Number(process.env.PORT ?? 4000) } });
console.log(`Bookshop: ${url}`);

process.once('SIGTERM', async () => {
  await server.stop();
  await cache.close();
  await db.$client.end();
});
