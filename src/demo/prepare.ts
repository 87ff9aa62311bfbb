/** Before a server or a command works in development: migrations, and demo data in an empty database. */
import { eq } from 'drizzle-orm';
import { openDatabase } from '../db/database.js';
import type { UserId } from '../db/ids.js';
import { migrateDatabase } from '../db/migrate.js';
import { users } from '../users/user.table.js';
import { fillWithDemoData } from './demo-data.js';

/** The triggers fire here too; whoever runs a cache on this database hears of the rows from the relay. */
export async function prepareDemo(databaseUrl: string): Promise<void> {
  await migrateDatabase(databaseUrl);
  const db = openDatabase({ url: databaseUrl });
  try {
    await db.write.transaction((tx) => fillWithDemoData(tx, Date.now()));
  } finally {
    await db.close();
  }
}

export async function userIdOf(databaseUrl: string, handle: string): Promise<UserId | undefined> {
  const db = openDatabase({ url: databaseUrl });
  try {
    const [user] = await db.read.select({ id: users.id }).from(users).where(eq(users.handle, handle));
    return user?.id;
  } finally {
    await db.close();
  }
}
