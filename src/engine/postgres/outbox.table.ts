/**
 * The outbox: the tags of what a transaction wrote, put there by triggers inside that transaction. `xid` orders it as the
 * relay needs it. Rows below every store's position are trimmed after a while; the trim line says up to where.
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
    /** No row below this transaction id is kept: a store whose position is lower cannot catch up and is purged. */
    below: xid8().notNull(),
  },
  (table) => [check('cache_outbox_trim_one', sql`${table.one}`)],
);
