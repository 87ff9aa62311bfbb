/** Who writes, for the triggers that record changes: a setting of the transaction. Without it the actor is unknown. */
import { sql } from 'drizzle-orm';
import type { TransactionSettings, Writer } from '../engine/postgres/index.js';
import { isId, toUuid } from './ids.js';

/** The default of columns that hold the actor. The setting is empty after the first transaction that had it. */
export const ACTOR = sql`nullif(current_setting('tasks.actor', true), '')::uuid`;

/** Undefined for a writer that is no user, such as the queue of new users. */
export function actorSettings({ viewerId }: Writer): TransactionSettings | undefined {
  return isId('user', viewerId) ? { 'tasks.actor': toUuid(viewerId) } : undefined;
}
