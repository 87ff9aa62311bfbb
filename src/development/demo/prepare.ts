/** Before a server or a command works in development: migrations, and demo data in an empty database. */
import { eq } from 'drizzle-orm';
import type { UserId } from '../../db/ids.js';
import { migrateDatabase } from '../../db/migrate.js';
import { users } from '../../domain/users/user.table.js';
import { systemClock } from '../../engine/cache/index.js';
import { openDatabase, retryingConflicts } from '../../engine/postgres/index.js';

/** Of the demo projects; whom the demo token speaks for. */
export const DEMO_OWNER = 'ada';

/** The triggers fire here too; whoever runs a cache on this database hears of the rows from the relay. */
export async function prepareDemo(databaseUrl: string): Promise<void> {
  const { fillWithDemoData } = await import('./demo-data.js'); // its faker is not there in production
  await migrateDatabase(databaseUrl);
  const db = openDatabase({ url: databaseUrl });
  try {
    const fill = () => db.write.transaction((tx) => fillWithDemoData(tx, DEMO_OWNER, Date.now()));
    await retryingConflicts(fill, (ms) => systemClock.sleep(ms));
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
