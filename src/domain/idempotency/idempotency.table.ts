/** Idempotency keys, each with the object that was created under it. Not cached, so without triggers. */
import { sql } from 'drizzle-orm';
import { check, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, idColumn } from '../../db/columns.js';
import { users } from '../users/user.table.js';

export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    userId: idColumn('user', 'user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** The name of the mutation. A key can be used once with each mutation. */
    operation: text().notNull(),
    key: text().notNull(),
    /** Digest of the input. A repeated key with another digest is refused. */
    digest: text().notNull(),
    /** An object of any type, which may have been deleted since. */
    createdId: uuid('created_id').notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.operation, table.key] }),
    index('idempotency_keys_created_at').on(table.createdAt),
    check('idempotency_keys_key', sql`length(${table.key}) between 1 and 200`),
  ],
);
