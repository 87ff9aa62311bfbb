import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createYoga } from 'graphql-yoga';
import { cache, db } from './cache.js';
import { schema } from './schema.js';

const server = createServer(createYoga({ schema, plugins: [cache.yoga()], graphqlEndpoint: '/' }));
server.listen(Number(process.env.PORT ?? 4000), () => {
  console.log(`Bookshop: http://localhost:${(server.address() as AddressInfo).port}/`);
});

process.once('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await cache.close();
  await db.$client.end();
});
