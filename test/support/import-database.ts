/** A database for the imports of a test file, and a folder for what they read. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { newId, type UserId } from '../../src/db/ids.js';
import type { runImport } from '../../src/domain/import/import.service.js';
import { type OpenImportOptions, openImport } from '../../src/domain/import/import-file.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { createDatabase } from './database.js';

export interface ImportDatabase {
  readonly db: MainDatabase;
  /** Without a cache: it reports no tags. */
  readonly transactor: Parameters<typeof runImport>[0]['transactor'];
  open(content: string | Buffer, options?: OpenImportOptions): ReturnType<typeof openImport>;
  /** Deletes everything. @returns the user `owner`, who is created */
  reset(): Promise<UserId>;
  close(): Promise<void>;
}

export async function importDatabase(onStatement: (text: string) => void = () => {}): Promise<ImportDatabase> {
  const database = await createDatabase();
  const db = openDatabase({ url: database.url, onStatement });
  const folder = await mkdtemp(join(tmpdir(), 'import-'));
  return {
    db,
    transactor: {
      transact: async <T>(fn: (tx: Transaction) => Promise<T>) => ({ value: await db.write.transaction(fn), tags: [] }),
    },
    async open(content, options) {
      const path = join(folder, 'file');
      await writeFile(path, content);
      return openImport(path, options);
    },
    async reset() {
      await db.write.execute(sql`truncate ${users}, ${projects}, task_events, cache_outbox cascade`);
      const ownerId = newId('user');
      await db.write.insert(users).values({ id: ownerId, handle: 'owner', name: 'Owner' });
      return ownerId;
    },
    async close() {
      await db.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
