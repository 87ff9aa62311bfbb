import { drizzle } from 'drizzle-orm/postgres-js';
import { createCache } from 'tagfence';
import postgres from 'tagfence/postgres-js';
import { authorRows, bookRows } from './tables.js';

export const db = drizzle({ client: postgres(process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/bookshop') });

export const cache = await createCache({
  redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  group: process.env.REDIS_GROUP ?? 'bookshop',
  db,
  tables: [authorRows, bookRows],
});
