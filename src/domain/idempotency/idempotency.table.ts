/** Idempotency keys, each with the object that was created under it. Not cached, so without triggers. */
import { sql } from 'drizzle-orm';
import { check, index, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, idColumn } from '../../db/columns.js';
import { users } from '../users/user.table.js';

/** The result for one of many objects. */
export interface StoredResult {
  readonly uuid: string;
  /** Empty if it was not refused. */
  readonly faults: readonly StoredFault[];
}

export interface StoredFault {
  readonly code: string;
  readonly message: string;
  readonly path: readonly string[];
}

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
    /** An object of any type, which may have been deleted since. Of a mutation of many objects, a random UUID. */
    createdId: uuid('created_id').notNull(),
    /** What a mutation of many objects answered. Null for others. */
    results: jsonb().$type<readonly StoredResult[]>(),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.operation, table.key] }),
    index('idempotency_keys_created_at').on(table.createdAt),
    check('idempotency_keys_key', sql`length(${table.key}) between 1 and 200`),
  ],
);
