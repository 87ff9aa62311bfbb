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

/**
 * Whether an entry may be stored by a process that now has this database: a load that began under a lease of the database before may have
 * read from this one. `text`: the entry's, which begins with its purge tokens. A text that names no database may always be stored.
 */
export function mayStore(text: string, database: string | undefined): boolean {
  const owner = databaseOf(text.slice(0, text.indexOf('|') + 1));
  return owner === undefined || owner === database;
}
