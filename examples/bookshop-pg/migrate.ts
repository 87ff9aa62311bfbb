import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';

const db = drizzle(process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/bookshop');
await migrate(db, { migrationsFolder: 'drizzle' });
await db.$client.end();
