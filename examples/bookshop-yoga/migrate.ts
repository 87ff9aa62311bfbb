import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';

const url = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/bookshop';
const db = drizzle({ connection: { url, max: 1, onnotice: () => {} } });
await migrate(db, { migrationsFolder: 'drizzle' });
await db.$client.end();
