/** An application with pg, without type-graphql and without postgres.js: a plain schema on Yoga. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { createSchema, createYoga } from 'graphql-yoga';
import { Pool } from 'pg';
import { createCache } from 'tagfence';
import { cachedResolver } from 'tagfence/graphql';
import { noteRows, notes } from './tables.js';

const db = drizzle(new Pool({ connectionString: process.env.DATABASE_URL, max: 4 }));
const cache = await createCache({
  redis: process.env.REDIS_URL ?? '',
  group: process.env.REDIS_GROUP ?? '',
  db,
  tables: [noteRows],
});

const typeDefs = `
  type Note { id: ID! body: String! }
  type Query { note(id: ID!): Note notes(owner: String!): [Note!]! }
  type Mutation { write(id: ID!, owner: String!, body: String!): Note }`;
const resolvers = {
  Query: {
    note: cachedResolver(cache.byId(noteRows), (_: unknown, { id }: { id: string }) => id),
    notes: cachedResolver(
      { ttlMs: 60_000, scope: 'public', tags: (_: unknown, { owner }: { owner: string }) => noteRows.byOwner(owner) },
      (_, { owner }) => db.select().from(notes).where(eq(notes.owner, owner)).orderBy(notes.id),
    ),
  },
  Mutation: {
    async write(_: unknown, note: typeof notes.$inferInsert) {
      const set = { owner: note.owner, body: note.body };
      const [written] = await cache.write((tx) =>
        tx.insert(notes).values(note).onConflictDoUpdate({ target: notes.id, set }).returning(),
      );
      return written;
    },
  },
};

const yoga = createYoga({
  schema: cache.bind(createSchema({ typeDefs, resolvers })),
  plugins: [cache.yoga()],
  logging: 'error',
});
const server = createServer(yoga);
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`));
process.once('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await cache.close();
  await db.$client.end();
});
