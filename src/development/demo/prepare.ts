/** Prepares a development database before a server or a command runs: migrations, and demo data if it is empty. */
import { eq } from 'drizzle-orm';
import type { UserId } from '../../db/ids.js';
import { migrateDatabase, OtherMigrations, otherMigrationsMessage } from '../../db/migrate.js';
import { users } from '../../domain/users/user.table.js';
import { systemClock } from '../../engine/cache/index.js';
import { openDatabase, retryingConflicts } from '../../engine/postgres/index.js';
import { ConfigError } from '../../platform/config-error.js';
import type { Services } from '../services.js';
import { DEMO_OWNER } from './owner.js';

/**
 * The triggers fire here too, so caches on this database learn of the rows from the relay.
 * @throws ConfigError for faults that the user can fix
 */
export async function prepareDemo({
  databaseUrl,
  migrationUrl = databaseUrl,
  postgresDir,
}: Pick<Services, 'databaseUrl' | 'migrationUrl' | 'postgresDir'>): Promise<void> {
  const { fillWithDemoData } = await import('./demo-data.js'); // the faker is not installed in production
  await migrateDatabase(migrationUrl).catch((error: unknown) => {
    if (!(error instanceof OtherMigrations)) throw error;
    const remedy = 'remove that folder, which deletes the data in it, and run npm start';
    const message = postgresDir && otherMigrationsMessage(`the private PostgreSQL in ${postgresDir}`, remedy);
    throw new ConfigError(message ?? error.message, { cause: error });
  });
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
