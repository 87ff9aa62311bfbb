/**
 * The outbox: the tags that a transaction touched, written by triggers inside that transaction. `xid` gives the order
 * that the relay needs. Old rows are trimmed; the trim line says up to where.
 */
import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { xid8 } from './xid8.js';

export const cacheOutbox = pgTable(
  'cache_outbox',
  {
    seq: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    xid: xid8().notNull().default(sql`pg_current_xact_id()`),
    tags: text().array().notNull(),
    writtenAt: timestamp('written_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [index('cache_outbox_xid').on(table.xid)],
);

export const cacheOutboxTrim = pgTable(
  'cache_outbox_trim',
  {
    one: boolean().primaryKey().default(true),
    /**
     * Rows below this transaction id have been deleted. A store whose position is lower cannot catch up and is purged.
     */
    below: xid8().notNull(),
  },
  (table) => [check('cache_outbox_trim_one', sql`${table.one}`)],
);
