import { drizzle } from 'drizzle-orm/node-postgres';
import { Pool } from 'pg';
import { createCache } from 'tagfence';
import { authorRows, bookRows } from './tables.js';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/bookshop';
export const db = drizzle({ client: new Pool({ connectionString }) });

export const cache = await createCache({
  redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  group: process.env.REDIS_GROUP ?? 'bookshop',
  db,
  tables: [authorRows, bookRows],
});
