/** The keys that clients gave with what they created, each with what came of it. Not cached: no triggers. */
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
    /** The mutation: one key may be used with each. */
    operation: text().notNull(),
    key: text().notNull(),
    /** Of the input: the same key with another is refused. */
    digest: text().notNull(),
    /** Of any kind, and perhaps deleted since. */
    createdId: uuid('created_id').notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.operation, table.key] }),
    index('idempotency_keys_created_at').on(table.createdAt),
    check('idempotency_keys_key', sql`length(${table.key}) between 1 and 200`),
  ],
);
