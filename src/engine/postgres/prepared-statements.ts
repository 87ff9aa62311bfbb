/**
 * Statements that come again are prepared. Drizzle sends those it builds per call unprepared: Postgres then parses each anew, and the
 * driver takes two round trips for it instead of one. Postgres still plans a prepared one for its parameters where that pays.
 */
import { LRUCache } from 'lru-cache';
import type { Executor, Prepared } from './executor.js';

/** Texts looked out for. Those of lists grow with the lists; they come once and go. */
const MAX_SEEN = 1000;
/** Texts that are prepared, on each connection; what comes later is not. Postgres keeps some 20 KB for each. */
const MAX_PREPARED = 500;

/** @returns whether a text has been asked about before, and is one of those to prepare */
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

/** Statements over `at`, each built once under its name: one name, one builder. */
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
