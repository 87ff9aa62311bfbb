/**
 * Purge tokens, `<database>.<random>`, are part of every entry, lease and position. The first part names the database,
 * so that readers ignore what belongs to another. The second changes when all entries become void.
 */
import { randomToken } from './token.js';

export function purgeFor(database: string): string {
  return `${database}.${randomToken()}`;
}

/** Undefined for a token without a database: an older build wrote it, or a store that is not bound to a database. */
export function databaseOf(purge: string): string | undefined {
  const dot = purge.indexOf('.');
  return dot < 0 ? undefined : purge.slice(0, dot);
}

/** Whether `purge` names another database than `database`. False when either is absent or names none. */
export function isForeign(purge: string | undefined, database: string | undefined): boolean {
  const owner = purge === undefined ? undefined : databaseOf(purge);
  return owner !== undefined && database !== undefined && owner !== database;
}

/**
 * Whether a process that has this database now may store an entry. A load that began under the lease of a former
 * database may have read from this one. `text`: the entry, which begins with its purge tokens. An entry without a
 * database may always be stored.
 */
export function mayStore(text: string, database: string | undefined): boolean {
  const owner = databaseOf(text.slice(0, text.indexOf('|') + 1));
  return owner === undefined || owner === database;
}
