/**
 * What a transaction of the write pool can do besides Drizzle's: statements built once for all transactions, and a
 * count of those sent.
 */
import type { Executor, Prepared, Transaction } from './executor.js';

/** What Drizzle holds for the driver's client, and finds again by a transaction's session. */
export interface PoolClient {
  readonly pool: {
    /** Statements for any transaction: each runs in the one of `at`. */
    statement<S extends Prepared>(name: string, build: (at: Executor, name: string) => S): S;
    /** Runs in `client` what `send` sends before it returns. `early`: see `preparedIn`. */
    at<T>(client: PoolClient, send: () => T, options?: { readonly early?: boolean }): T;
  };
  /** Absent outside of transactions. */
  readonly transaction: { sent: number } | undefined;
  /** Whether it is a savepoint, which may be undone alone. */
  readonly part: boolean;
  /** Sends statements without parameters that belong to BEGIN: they are neither counted nor logged. */
  set(text: string): Promise<unknown>;
}

const clients = new WeakSet<object>();

/** Marks a client as one of a pool. */
export function enlist<C extends PoolClient>(client: C): C {
  clients.add(client);
  return client;
}

/**
 * The characteristic that transactions of a pool begin with. It means nothing to a transaction that writes, so a
 * function of the database knows by it that BEGIN has succeeded: `current_setting('transaction_deferrable')` is `on`.
 */
export const BEGINS_AS = 'deferrable';

/**
 * A statement in this transaction, built once under its name for all transactions of the pool. `early`: when all before
 * it were early, it is sent in one message with BEGIN. Should BEGIN fail, it has run in a transaction of its own before
 * the write fails: only for statements that read, take locks, or write nothing unless `BEGINS_AS` holds.
 */
export function preparedIn<S extends Prepared>(
  tx: Transaction,
  name: string,
  build: (at: Executor, name: string) => S,
  options?: { readonly early?: boolean },
): Pick<S, 'execute'> {
  const client = clientOf(tx);
  if (client === undefined) throw new TypeError('expected a transaction of the write pool');
  const statement = client.pool.statement(name, build);
  return { execute: (values) => client.pool.at(client, () => statement.execute(values), options) } as Pick<
    S,
    'execute'
  >;
}

/** Runs `fn` in a transaction with these settings, which are sent in one message with BEGIN. */
export function withSettings<T>(
  settings: Readonly<Record<string, string>>,
  fn: (tx: Transaction) => Promise<T>,
): (tx: Transaction) => Promise<T> {
  const text = Object.entries(settings).map(setLocal).join('; ');
  return (tx) => {
    const client = clientOf(tx);
    if (client === undefined) throw new TypeError('expected a transaction of the write pool');
    client.set(text).catch(() => {}); // the transaction fails with it, and its next statement reports that
    return fn(tx);
  };
}

/** @throws TypeError if the name is none of an application's settings */
function setLocal([name, value]: [string, string]): string {
  if (!/^[a-z_]+\.[a-z_]+$/.test(name)) throw new TypeError(`expected a setting like app.user, got ${name}`);
  return `set local ${name} = '${value.replaceAll("'", "''")}'`;
}

/**
 * How many statements have been sent in this transaction, those of its savepoints included; undefined for a savepoint,
 * which may be undone, and for a transaction of another pool, which does not count them.
 */
export function statementCount(tx: Transaction): number | undefined {
  const client = clientOf(tx);
  return client?.part === false ? client.transaction?.sent : undefined;
}

/** Whether this transaction is one of a write pool. */
export function isPooled(tx: Transaction): boolean {
  return clientOf(tx) !== undefined;
}

/** Drizzle keeps it from its types, not from its objects. */
function clientOf(tx: Transaction): PoolClient | undefined {
  const { client } = (tx as unknown as { session: { client: PoolClient } }).session;
  return clients.has(client) ? client : undefined;
}
