import { drizzle } from 'drizzle-orm/node-postgres';
import { Pool } from 'pg';
import { createCache } from 'tagfence';
import { authorRows, bookRows } from './tables.js';

const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/bookshop' });
pool.on('error', console.error); // of an idle connection: without a listener it would end the process

export const db = drizzle({ client: pool });

export const cache = await createCache({
  redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  group: process.env.REDIS_GROUP ?? 'bookshop',
  db,
  tables: [authorRows, bookRows],
});
