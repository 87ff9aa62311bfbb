/**
 * Purge tokens, `<database>.<random>`: what an entry, a lease and a position are of. The first part names the database that they hold
 * values of, so that those of another are never believed, the second changes whenever everything is to be void.
 */
import { randomToken } from './token.js';

export function purgeFor(database: string): string {
  return `${database}.${randomToken()}`;
}

/** Undefined for a token that names none: of a build before databases were named, or of a store without one. */
export function databaseOf(purge: string): string | undefined {
  const dot = purge.indexOf('.');
  return dot < 0 ? undefined : purge.slice(0, dot);
}

/** Whether what carries `purge` may be touched for `database`: absent or unnamed on either side, nothing speaks against it. */
export function isForeign(purge: string | undefined, database: string | undefined): boolean {
  const owner = purge === undefined ? undefined : databaseOf(purge);
  return owner !== undefined && database !== undefined && owner !== database;
}
