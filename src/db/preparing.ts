/**
 * Statements that come again are prepared. Drizzle sends those it builds per call unprepared: Postgres then parses each anew, and the
 * driver takes two round trips for it instead of one. Postgres still plans a prepared one for its parameters where that pays.
 */
import { LRUCache } from 'lru-cache';
import type { Sql, TransactionSql } from 'postgres';

/** Texts looked out for. Those of lists grow with the lists; they come once and go. */
const MAX_SEEN = 1000;
/** Texts that are prepared, on each connection; what comes later is not. Postgres keeps some 20 KB for each. */
const MAX_PREPARED = 500;

type Unsafe = Sql['unsafe'];
type Open = (run: (tx: TransactionSql) => unknown) => Promise<unknown>;

/** @returns whether a text has been asked about before, and is one of those to prepare */
export function comingAgain(): (text: string) => boolean {
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

/** The pool of writers as Drizzle sees it. */
export function preparing(sql: Sql): Sql {
  const comesAgain = comingAgain();
  /** A client with what Drizzle calls of it, and the same for what it opens. */
  const over = <C extends Sql | TransactionSql>(client: C): C => {
    const unsafe = (...[text, parameters, options]: Parameters<Unsafe>) =>
      client.unsafe(text, parameters, { ...options, prepare: comesAgain(text) });
    const opening = (open: Open) => (run: (tx: TransactionSql) => unknown) => open((tx) => run(over(tx)));
    const opens =
      'begin' in client ? { begin: opening(client.begin as Open) } : { savepoint: opening(client.savepoint as Open) };
    return { options: sql.options, unsafe, ...opens } as unknown as C;
  };
  return over(sql);
}
