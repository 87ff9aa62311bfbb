/** Sees the statements of an application's Drizzle, for traces and for the check that tags cover what is read. */

interface Logger {
  logQuery(text: string, parameters: unknown[]): void;
}

/** What Drizzle's session has besides its types. */
interface Session {
  logger?: Logger;
  options?: { logger?: Logger };
}

type OnStatement = (text: string) => void;

/** By session, who sees its statements. */
const watched = new WeakMap<Session, Set<OnStatement>>();

/**
 * Calls `onStatement` with the text of every statement before it is sent, in the async context that issues it, until
 * the returned function is called. What it throws fails the statement. The application's own logger is called as
 * before. Transactions are seen too.
 */
export function watchStatements(db: object, onStatement: OnStatement): () => void {
  const sessions = sessionsOf(db);
  for (const session of sessions) watchersOf(session)?.add(onStatement);
  return () => {
    for (const session of sessions) watched.get(session)?.delete(onStatement);
  };
}

/** Undefined for another version of Drizzle, of which nothing is seen. */
function watchersOf(session: Session): Set<OnStatement> | undefined {
  const before = session.logger;
  if (watched.has(session) || typeof before?.logQuery !== 'function') return watched.get(session);
  const watchers = new Set<OnStatement>();
  const logger: Logger = {
    logQuery(text, parameters) {
      for (const watcher of watchers) watcher(text);
      before.logQuery(text, parameters);
    },
  };
  session.logger = logger;
  session.options = { ...session.options, logger };
  watched.set(session, watchers);
  return watchers;
}

/** Drizzle's relational queries (`db.query`) share the session. */
function sessionsOf(db: object): Session[] {
  const { session, _ } = db as { session?: Session; _?: { session?: Session } };
  return [...new Set([session, _?.session])].filter((one) => one !== undefined);
}
