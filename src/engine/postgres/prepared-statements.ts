/**
 * Prepares repeated statements. Drizzle sends statements that it builds per call unprepared: Postgres parses each one,
 * and the driver needs two round trips instead of one. Postgres still plans a prepared statement for its parameters
 * where that pays.
 */
import { LRUCache } from 'lru-cache';
import type { Executor, Prepared } from './executor.js';

/** Texts watched for repetition. The texts of lists vary with their length and rarely repeat. */
const MAX_SEEN = 1000;
/** The most texts prepared on each connection. Postgres keeps some 20 KB for each. */
const MAX_PREPARED = 500;

/** @returns whether a text has been seen before and is one of those to prepare */
export function repeatedStatements(): (text: string) => boolean {
  const seen = new LRUCache<string, true>({ max: MAX_SEEN });
  const prepared = new Set<string>();
  return (text) => {
    if (prepared.has(text)) return true;
    const again = seen.has(text) && prepared.size < MAX_PREPARED;
    if (again) prepared.add(text);
    else seen.set(text, true);
    return again;
  };
}

/** Statements over `at`, each built once under its name. One name belongs to one builder. */
export function statementCache(at: Executor) {
  const statements = new Map<string, unknown>();
  return <S extends Prepared>(name: string, build: (at: Executor, name: string) => S): S => {
    const known = statements.get(name) as S | undefined;
    if (known !== undefined) return known;
    const built = build(at, name);
    statements.set(name, built);
    return built;
  };
}
