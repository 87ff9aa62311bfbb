/**
 * The statements that read the outbox: a writer's own tags, the rows that the relay applies, the transactions that are
 * over.
 */
import { sql } from 'drizzle-orm';
import type { Sql } from 'postgres';
import type { Tag, WrittenValue } from '../cache/index.js';
import { HOUR, SECOND } from '../cache/time.js';
import {
  DATABASE_ID_SQL,
  type DatabaseIdentity,
  type FoundIdentity,
  IDENTITY_SQL,
  readIdentity,
  StandbyError,
  UNKNOWN_DATABASE,
  withIdentity,
} from './database-identity.js';
import type { Transaction } from './executor.js';
import { isPooled, preparedIn, statementCount } from './pool-transaction.js';

/** A transaction that touched more tags touches their tables instead: every entry carries its tables' tags too. */
const MAX_TAGS = 2000;
/**
 * A transaction with more tags in its rows, duplicates included, is not read tag by tag: a million take Postgres
 * seconds.
 */
const MAX_TAGS_LOOKED_AT = 20_000;
/**
 * Transactions, and tags in their rows, that one tick applies. The rest waits for the next tick, which follows at once.
 */
const MAX_TRANSACTIONS_PER_TICK = 1000;
const MAX_TAGS_PER_TICK = 10_000;
/** How long rows are kept: a Redis restored from an older file catches up by them. */
const RETENTION_MS = HOUR;
/** Rows that one call deletes, in some 20 ms. */
const MAX_ROWS_PER_TRIM = 10_000;

export interface Written {
  readonly xid: bigint;
  readonly tags: readonly Tag[];
}

/** A transaction of this process. */
export interface OwnWritten extends Written {
  /** The database that its id belongs to. */
  readonly database: string;
  /** The table of each row of the outbox: one for each statement that touched tags, and for each table among them. */
  readonly tables: readonly string[];
}

/** A write that stores what it wrote has touched fewer tables. */
const MAX_ROWS_LOOKED_AT = 10;

/**
 * A transaction's tags and tables, in SQL. Writers fence by it and the relay releases by it, so there is one function:
 * fences on tags that the relay does not name would stay.
 */
function touchedBy(xid: string): string {
  return `public.cache_touched(${xid}, ${MAX_TAGS_LOOKED_AT}, ${MAX_TAGS}, ${MAX_ROWS_LOOKED_AT})`;
}

const OWN_TOUCHED = `(select pg_current_xact_id_if_assigned() as xid) as own, ${touchedBy('own.xid')} as touched`;

/** The tags that the open transaction has touched so far; undefined when it wrote nothing. */
export async function readTouchedTags(tx: Transaction): Promise<OwnWritten | undefined> {
  if (!isPooled(tx)) return readTouchedTagsElsewhere(tx);
  const statement = preparedIn(
    tx,
    'touched_by',
    (at, name) =>
      at
        .select({
          xid: sql<string | null>`own.xid::text`,
          tags: sql<Tag[] | null>`touched.tags`,
          tables: sql<string[]>`touched.tables`,
          database: sql<string | null>`${sql.raw(DATABASE_ID_SQL)}`,
        })
        .from(sql.raw(OWN_TOUCHED))
        .prepare(name),
    { early: true },
  );
  const [row] = await statement.execute();
  if (!row?.xid) return undefined;
  const { xid, tags, tables, database } = row;
  return { xid: BigInt(xid), tags: tags ?? [], tables, database: database || UNKNOWN_DATABASE };
}

/**
 * The same for a transaction of the application's own pool, whose types and driver are not known here. Its deferred
 * triggers run first, since what they write is named too.
 */
async function readTouchedTagsElsewhere(tx: Transaction): Promise<OwnWritten | undefined> {
  const [, found] = await Promise.all([
    tx.execute(sql`set constraints all immediate`),
    tx.execute(sql`
      select own.xid::text as xid, array_to_json(touched.tags)::text as tags, ${sql.raw(DATABASE_ID_SQL)} as database
      from ${sql.raw(OWN_TOUCHED)}`),
  ]);
  const rows = (Array.isArray(found) ? found : (found as { rows: unknown }).rows) as Record<string, string | null>[];
  const { xid, tags, database } = rows[0] ?? {};
  if (!xid) return undefined;
  return {
    xid: BigInt(xid),
    tags: JSON.parse(tags ?? '[]') as Tag[],
    tables: [],
    database: database || UNKNOWN_DATABASE,
  };
}

/** By transaction: what it had touched, what its statement returned, and after how many statements. */
const touched = new WeakMap<object, Touched>();
interface Touched {
  readonly written: Promise<OwnWritten | undefined>;
  readonly values: Promise<readonly WrittenValue[]>;
  readonly sent: number;
}

/**
 * Runs what is probably the last statement of a write, and reads the touched tags right behind it, in the same round
 * trip. `touchedTags` uses that result if it was the last statement, and reads again if not: a wrong guess costs one
 * statement.
 * @param valuesOf what sources would load once the transaction has committed, by what the statement returns: stored with
 * the RELEASE if nothing else has touched their tables
 */
export function runThenReadTags<T>(
  tx: Transaction,
  statement: PromiseLike<T>,
  valuesOf: (returned: T) => readonly WrittenValue[] = () => [],
): Promise<T> {
  const running = Promise.resolve(statement.then((value) => value)); // this sends it
  if (statementCount(tx) === undefined) return running; // a savepoint's statement: not the last
  const written = readTouchedTags(tx);
  written.catch(() => {}); // the statement's own failure is the one to report
  const values = running.then(valuesOf);
  values.catch(() => {});
  touched.set(tx, { written, values, sent: statementCount(tx) as number });
  return running;
}

/**
 * Those values of the transaction's last statement whose tables it alone has touched. More than one row in the outbox:
 * another statement has, before it or in a trigger of it, and what the statement returned may not be all.
 */
export async function writtenValues(tx: Transaction, { tables }: OwnWritten): Promise<readonly WrittenValue[]> {
  const known = touched.get(tx);
  const isLast = known !== undefined && known.sent === statementCount(tx);
  if (!isLast || tables.length >= MAX_ROWS_LOOKED_AT) return [];
  const values = await known.values;
  return values.filter(({ source, arg }) => {
    const depends = new Set<string>(source.tags(arg as never));
    return tables.filter((table) => depends.has(table)).length === 1;
  });
}

/** The tags that the transaction has touched, after its last statement was sent. */
export function touchedTags(tx: Transaction): Promise<OwnWritten | undefined> {
  const known = touched.get(tx);
  return known !== undefined && known.sent === statementCount(tx) ? known.written : readTouchedTags(tx);
}

export interface OutboxView {
  /** The database that this is a view of. */
  readonly identity: DatabaseIdentity;
  /** Every transaction below it is over: the xmin horizon of the snapshot in which `rows` were read. */
  readonly horizon: bigint;
  readonly rows: readonly Written[];
  /** How far the rows reach: `horizon`, or the first transaction below it that did not fit. */
  readonly upTo: bigint;
  /** Some rows did not fit. */
  readonly cut: boolean;
  /** Rows below this have been deleted. */
  readonly trimmedBelow: bigint;
}

/** The relay's interface to Postgres. */
export interface Outbox {
  /** The database of the connection; a part of each view as well. */
  identity(): Promise<DatabaseIdentity>;
  /** See `readOutbox`. */
  read(from: bigint | undefined, applied: readonly string[]): Promise<OutboxView>;
  /** A transaction id assigned now. */
  freshTransactionId(): Promise<bigint>;
  /** See `trimOutbox`. */
  trim(): Promise<boolean>;
  close(options: { timeoutS: number }): Promise<void>;
}

/** Deletes some rows that are no longer needed. @returns whether there is more to delete */
export type Trim = (client: Sql) => Promise<boolean>;

/**
 * `events`: tables of events (`xid`, `seq`, `at`) that are trimmed with the outbox, each with its trim line
 * (`<table>_trim`). `trims`: run with them; several processes may run one at the same time.
 */
export function postgresOutbox(client: Sql, events: readonly string[] = [], trims: readonly Trim[] = []): Outbox {
  return {
    identity: () => readIdentity(client),
    read: (from, applied) => readOutbox(client, from, applied),
    freshTransactionId: () => freshTransactionId(client),
    async trim() {
      const more = [await trimOutbox(client)];
      for (const table of events) more.push(await trimEvents(client, table));
      for (const trim of trims) more.push(await trim(client));
      return more.includes(true);
    },
    close: ({ timeoutS }) => client.end({ timeout: timeoutS }),
  };
}

interface FoundView {
  readonly found: FoundIdentity | null;
  readonly standby: boolean;
  readonly horizon: string;
  readonly trimmed: string;
  readonly rows: { xid: string; tags: Tag[] }[] | null;
  readonly rest: string | null;
}

/**
 * One statement, so that identity, horizon and rows come from one snapshot. `from` undefined: no rows. `applied`:
 * transactions to leave out.
 * @throws StandbyError: a standby's snapshots prove nothing about the primary
 */
export async function readOutbox(
  client: Sql,
  from: bigint | undefined,
  applied: readonly string[],
): Promise<OutboxView> {
  const view = await withIdentity(client, () => findView(client, from, applied));
  const horizon = BigInt(view.horizon);
  const rest = view.rest === null ? undefined : BigInt(view.rest);
  return {
    identity: view.identity,
    horizon,
    upTo: rest !== undefined && rest < horizon ? rest : horizon,
    rows: (view.rows ?? []).map(({ xid, tags }) => ({ xid: BigInt(xid), tags })),
    cut: rest !== undefined,
    trimmedBelow: BigInt(view.trimmed),
  };
}

async function findView(client: Sql, from: bigint | undefined, applied: readonly string[]): Promise<FoundView> {
  // `not in (select …)` is hashed; `<> all (array)` is not, once Postgres plans without the values. Unhashed, a tick
  // takes 13 s with 20 000 applied transactions behind a long one; hashed, 0.02 s.
  const [view] = await client<FoundView[]>`
    with pending as (
      select xid, sum(cardinality(tags)) as size
      from public.cache_outbox
      where xid >= ${from === undefined ? null : String(from)}::xid8 and xid < ${client.unsafe(UNASSIGNED)}
        and xid not in (select id::xid8 from unnest(${applied as string[]}::text[]) as applied(id))
      group by xid order by xid limit ${MAX_TRANSACTIONS_PER_TICK + 1}
    ),
    counted as (
      select xid, row_number() over upwards as place,
        sum(case when size > ${MAX_TAGS_LOOKED_AT} then 1 else size end) over upwards as tags_so_far
      from pending window upwards as (order by xid rows unbounded preceding)
    ),
    fitting as (
      -- At least one, so that the largest transaction gets through.
      select xid, place = 1 or (place <= ${MAX_TRANSACTIONS_PER_TICK} and tags_so_far <= ${MAX_TAGS_PER_TICK}) as fits
      from counted
    )
    select
      ${client.unsafe(IDENTITY_SQL)} as found,
      pg_is_in_recovery() as standby,
      pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
      (select below::text from public.cache_outbox_trim) as trimmed,
      (
        select json_agg(
          json_build_object('xid', xid::text, 'tags', (select tags from ${client.unsafe(touchedBy('fitting.xid'))}))
          order by xid
        )
        from fitting where fits
      ) as rows,
      (select xid::text from fitting where not fits order by xid limit 1) as rest`;
  if (view === undefined || view.standby) throw new StandbyError();
  return view;
}

/** A transaction id assigned now. Not pg_snapshot_xmax, which can equal the id of a running writer. */
export async function freshTransactionId(client: Sql): Promise<bigint> {
  const [row] = await client<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
  return BigInt((row as { xid: string }).xid);
}

/**
 * The transactions of `xids` that are over, and the database that says so. An id that was never assigned here belongs
 * to a lost history: over too.
 */
export async function finishedOf(
  client: Sql,
  xids: readonly string[],
): Promise<{ readonly finished: readonly string[]; readonly database: string }> {
  const rows = await client<{ xid: string; database: string | null }[]>`
    with latest as materialized (select pg_current_xact_id() as xid)
    select id::text as xid, ${client.unsafe(DATABASE_ID_SQL)} as database
    from unnest(${xids as string[]}::text[]::xid8[]) as ids(id), latest
    where case when id > latest.xid then true
      else coalesce(pg_xact_status(id), 'committed') in ('committed', 'aborted') end`;
  return { finished: rows.map(({ xid }) => xid), database: rows[0]?.database || UNKNOWN_DATABASE };
}

/**
 * A dump that is restored into another cluster brings transaction ids that this one has not assigned yet: rows that no
 * snapshot shows, and a trim line that every position is below. Trims delete such rows, and move such a line to the next
 * id: what was read before that is expired.
 */
const UNASSIGNED = 'pg_snapshot_xmax(pg_current_snapshot())';

/**
 * Deletes the oldest rows, up to the first that is younger than the retention, and moves the trim line, in one
 * statement. It ignores the positions of stores: one that is behind the line is purged, so an outage of Redis cannot
 * fill Postgres. Rows from the oldest running transaction on stay, or each tick would find its position below the line
 * until that transaction ends.
 * @returns whether there is more to delete
 */
export function trimOutbox(client: Sql, options: TrimOptions = {}): Promise<boolean> {
  const trimmed = { rows: 'public.cache_outbox', line: 'public.cache_outbox_trim', at: 'written_at' };
  return trim(client, { ...trimmed, end: 'pg_snapshot_xmin(pg_current_snapshot())', ...options });
}

/**
 * Deletes the oldest rows of a table of events, up to the first that is younger than the retention, and moves the
 * table's trim line, in one statement: a reader of both in one statement knows whether rows are missing.
 * @returns whether there is more to delete
 */
export function trimEvents(client: Sql, table: string, options: TrimOptions = {}): Promise<boolean> {
  return trim(client, { rows: table, line: `${table}_trim`, at: 'at', end: UNASSIGNED, ...options });
}

interface TrimOptions {
  readonly retentionMs?: number;
  readonly maxRows?: number;
}

interface Trimmed extends TrimOptions {
  /** The table. */
  readonly rows: string;
  /** The table with its trim line. */
  readonly line: string;
  /** The column that tells the age of a row. */
  readonly at: string;
  /** SQL: rows from this transaction on stay, unless its id is not assigned yet. */
  readonly end: string;
}

async function trim(
  client: Sql,
  { rows, line, at, end, retentionMs = RETENTION_MS, maxRows = MAX_ROWS_PER_TRIM }: Trimmed,
): Promise<boolean> {
  const [trimmed] = await client<{ count: number }[]>`
    with oldest as (
      select ctid, seq, xid, ${client(at)} < now() - make_interval(secs => ${retentionMs / SECOND}) as old
      from ${client(rows)} where xid < ${client.unsafe(end)}
      order by xid, seq limit ${maxRows}
    ),
    due as (
      select ctid, xid from oldest
      where (xid, seq) < all (select xid, seq from oldest where not old order by xid, seq limit 1)
    ),
    lost as (select ctid from ${client(rows)} where xid >= ${client.unsafe(UNASSIGNED)} limit ${maxRows}),
    line as (
      select ${client.unsafe(UNASSIGNED)} as most,
        -- PostgreSQL 14 has no max() of such ids.
        (select (xid::text::numeric + 1)::text::xid8 from due order by xid desc limit 1) as below
    ),
    -- Another process may have moved it further.
    moved as (
      update ${client(line)} as trim set below = case when trim.below > line.most then line.most else line.below end
      from line where line.below > trim.below or trim.below > line.most
    ),
    -- An array, not a join: that would read the whole table once Postgres plans without the values.
    gone as (
      delete from ${client(rows)} where ctid = any(array(select ctid from due union all select ctid from lost)) returning 1
    )
    select count(*)::int as count from gone`;
  return trimmed !== undefined && trimmed.count >= maxRows;
}
