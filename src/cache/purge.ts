/**
 * Purge tokens, `<database>.<random>`, which every entry, lease and position carries. The first part names the database, so that readers
 * ignore what belongs to another. The second changes whenever all entries become void.
 */
import { randomToken } from './token.js';

export function purgeFor(database: string): string {
  return `${database}.${randomToken()}`;
}

/** Undefined for a token that names none: an older build wrote it, or a store that is not bound to a database. */
export function databaseOf(purge: string): string | undefined {
  const dot = purge.indexOf('.');
  return dot < 0 ? undefined : purge.slice(0, dot);
}

/** Whether `purge` names another database than `database`. False when either is absent or names none. */
export function isForeign(purge: string | undefined, database: string | undefined): boolean {
  const owner = purge === undefined ? undefined : databaseOf(purge);
  return owner !== undefined && database !== undefined && owner !== database;
}
