/**
 * An application's own Drizzle, over postgres.js or over a pool of pg. Its pool runs the application's reads and
 * writes; the relay and what resolves fences get connections of their own, made from the pool's options. Neither driver
 * is imported here unless the application uses it.
 */
import type { Sql } from 'postgres';
import { type Driver, driverFault } from './driver-check.js';
import { guardPool, type PgPool, pgClient } from './pg-client.js';

/** What is used of Drizzle, whatever its driver and schema. */
export interface DrizzleDatabase {
  readonly transaction: (...args: never[]) => Promise<unknown>;
  readonly $client: unknown;
}

/** The transaction that a Drizzle gives. */
export type TransactionOf<Db extends DrizzleDatabase> = Db['transaction'] extends (
  run: infer Run,
  ...rest: never[]
) => unknown
  ? Run extends (tx: infer Tx) => unknown
    ? Tx
    : never
  : never;

export interface OwnDrizzle {
  /** A client with one connection of its own, opened when it is used. */
  connect(): Sql;
  /** Connections of the application's pool. */
  readonly poolSize: number;
}

const IDLE_S = 60;
const DEFAULT_POOL = 10;

/**
 * @throws TypeError when it is no Drizzle over postgres.js or a pool of pg, or over a postgres.js that fails
 * `driverFault`
 */
export async function ownDrizzle(db: DrizzleDatabase): Promise<OwnDrizzle> {
  const client = db.$client;
  if (isPostgresJs(client)) {
    const driver = await soundDriverOf(client);
    return { connect: () => driver(relayOptions(client.options) as object), poolSize: client.options.max };
  }
  if (isPgPool(client)) {
    guardPool(client);
    return { connect: () => pgClient(client), poolSize: client.options.max ?? DEFAULT_POOL };
  }
  throw new TypeError(
    'expected Drizzle over postgres.js (drizzle-orm/postgres-js) or over a Pool of pg (drizzle-orm/node-postgres)',
  );
}

const INSTEAD =
  "make the client with `import postgres from 'tagfence/postgres-js'`, which is the same driver without that fault, and pass it to Drizzle as " +
  '`drizzle({ client: postgres(url) })`, or use pg';

/** The copy of postgres.js that made this client. @throws TypeError when it cannot be used */
async function soundDriverOf(client: Sql): Promise<Driver> {
  for (const imported of [() => import('../postgres-js/index.js'), () => import('postgres')]) {
    const driver = await imported().then(
      (module) => module.default,
      () => undefined, // not installed where this package looks
    );
    if (driver === undefined || !isMadeBy(client, driver)) continue;
    const fault = await driverFault(driver);
    if (fault === undefined) return driver;
    throw new TypeError(`this copy of postgres.js ${fault}: ${INSTEAD}`);
  }
  throw new TypeError(
    `this copy of postgres.js is not the one that the cache can import, and was not checked: ${INSTEAD}`,
  );
}

/** A client and its driver have the same class of errors. */
function isMadeBy(client: object, driver: object): boolean {
  return (
    (client as { PostgresError?: unknown }).PostgresError === (driver as { PostgresError?: unknown }).PostgresError
  );
}

/** Transforms are the application's: the columns of the cache's own statements keep their names. */
function relayOptions(options: Sql['options']) {
  return {
    ...options, // as parsed: postgres.js takes them as they are
    max: 1,
    idle_timeout: IDLE_S,
    max_lifetime: null,
    fetch_types: true,
    transform: { undefined: undefined, column: {}, value: {}, row: {} },
    parameters: {},
    onnotice: () => {},
    debug: undefined,
  };
}

function isPostgresJs(client: unknown): client is Sql {
  return typeof client === 'function' && 'unsafe' in client && 'options' in client;
}

function isPgPool(client: unknown): client is PgPool {
  return (
    typeof client === 'object' && client !== null && 'totalCount' in client && 'query' in client && 'options' in client
  );
}
