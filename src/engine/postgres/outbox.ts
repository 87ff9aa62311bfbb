/** The statements that read the outbox: a writer's own tags, what the relay has to apply, which transactions are over. */
import { sql } from 'drizzle-orm';
import type { Sql } from 'postgres';
import type { Tag } from '../cache/index.js';
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

/** A transaction that touched more tags than this touches their tables instead: every entry carries its tables' tags too. */
const MAX_TAGS = 2000;
/** With more in its rows, told apart or not, a transaction is not even looked at tag by tag: a million take Postgres seconds. */
const MAX_TAGS_LOOKED_AT = 20_000;
/** Transactions, and tags in their rows, that one tick applies; the rest waits for the next, which follows at once. */
const MAX_TRANSACTIONS_PER_TICK = 1000;
const MAX_TAGS_PER_TICK = 10_000;
/** How long rows are kept after they were written: a Redis restored from an older file catches up by them. */
const RETENTION_MS = HOUR;
/** Rows that one call deletes: some 20 ms. */
const MAX_ROWS_PER_TRIM = 10_000;

export interface Written {
  readonly xid: bigint;
  readonly tags: readonly Tag[];
}

/** A transaction of this process: its id is one of that database. */
export interface OwnWritten extends Written {
  readonly database: string;
}

/**
 * A transaction's tags, in SQL: `$xid` is its id. A writer fences by it, the relay releases by it, so it is one text: fences on tags that
 * the relay then does not name would stay. Every row of the outbox is of one table.
 */
const TAGS_OF = `
  select case
    when (select sum(cardinality(tags)) from public.cache_outbox where xid = $xid) > ${MAX_TAGS_LOOKED_AT}
    then array(select distinct split_part(tags[1], ':', 1) from public.cache_outbox where xid = $xid)
    else (
      select case when count(*) > ${MAX_TAGS} then array_agg(distinct split_part(tag, ':', 1)) else coalesce(array_agg(tag), '{}') end
      from (select distinct tag from public.cache_outbox, unnest(tags) as tag where xid = $xid) as named
    )
  end`;

function tagsOf(xid: string): string {
  return TAGS_OF.replaceAll('$xid', xid);
}

/** What the open transaction has touched so far; undefined when it wrote nothing. */
export async function readTouchedTags(tx: Transaction): Promise<OwnWritten | undefined> {
  if (!isPooled(tx)) return readTouchedTagsElsewhere(tx);
  const statement = preparedIn(tx, 'touched_by', (at, name) =>
    at
      .select({
        xid: sql<string | null>`own.xid::text`,
        tags: sql<Tag[] | null>`(${sql.raw(tagsOf('own.xid'))})`,
        database: sql<string | null>`${sql.raw(DATABASE_ID_SQL)}`,
      })
      .from(sql`(select pg_current_xact_id_if_assigned() as xid) as own`)
      .prepare(name),
  );
  const [row] = await statement.execute();
  if (!row?.xid) return undefined;
  return { xid: BigInt(row.xid), tags: row.tags ?? [], database: row.database || UNKNOWN_DATABASE };
}

/**
 * The same for a transaction of the application's own pool, whose types and driver are not known here. Its deferred triggers run first, since
 * what they write is named too.
 */
async function readTouchedTagsElsewhere(tx: Transaction): Promise<OwnWritten | undefined> {
  const [, found] = await Promise.all([
    tx.execute(sql`set constraints all immediate`),
    tx.execute(sql`
      select own.xid::text as xid, array_to_json((${sql.raw(tagsOf('own.xid'))}))::text as tags,
        ${sql.raw(DATABASE_ID_SQL)} as database
      from (select pg_current_xact_id_if_assigned() as xid) as own`),
  ]);
  const rows = (Array.isArray(found) ? found : (found as { rows: unknown }).rows) as Record<string, string | null>[];
  const { xid, tags, database } = rows[0] ?? {};
  if (!xid) return undefined;
  return { xid: BigInt(xid), tags: JSON.parse(tags ?? '[]') as Tag[], database: database || UNKNOWN_DATABASE };
}

/** By transaction: what it had touched, and after how many statements. */
const touched = new WeakMap<object, { readonly written: Promise<OwnWritten | undefined>; readonly sent: number }>();

/**
 * Runs what is probably the last statement of a write, and asks right behind it, in the same round trip, what the transaction has touched.
 * `touchedTags` takes that answer if it was the last, and asks anew if not; so whoever is wrong about it costs a statement.
 */
export function runThenReadTags<T>(tx: Transaction, statement: PromiseLike<T>): Promise<T> {
  const running = Promise.resolve(statement.then((value) => value)); // which sends it
  if (statementCount(tx) === undefined) return running; // of a savepoint: not the last
  const written = readTouchedTags(tx);
  written.catch(() => {}); // the statement's own failure is the one to tell
  touched.set(tx, { written, sent: statementCount(tx) as number });
  return running;
}

/** What the transaction has touched, now that its last statement has been sent. */
export function touchedTags(tx: Transaction): Promise<OwnWritten | undefined> {
  const known = touched.get(tx);
  return known !== undefined && known.sent === statementCount(tx) ? known.written : readTouchedTags(tx);
}

export interface OutboxView {
  /** Which database this is a view of. */
  readonly identity: DatabaseIdentity;
  /** Every transaction below it is over: the xmin horizon of the snapshot that `rows` were read with. */
  readonly horizon: bigint;
  readonly rows: readonly Written[];
  /** How far the rows reach: `horizon`, or the first transaction below it that did not fit. */
  readonly upTo: bigint;
  /** Not all rows fitted. */
  readonly cut: boolean;
  /** Rows below this are gone. */
  readonly trimmedBelow: bigint;
}

/** What the relay asks of Postgres. */
export interface Outbox {
  /** Which database it is in; a part of each view as well. */
  identity(): Promise<DatabaseIdentity>;
  /** See `readOutbox`. */
  read(from: bigint | undefined, applied: readonly string[]): Promise<OutboxView>;
  /** An id assigned now. */
  freshTransactionId(): Promise<bigint>;
  /** See `trimOutbox`. */
  trim(): Promise<boolean>;
  close(options: { timeoutS: number }): Promise<void>;
}

/** `events`: tables of events (`xid`, `seq`, `at`) that live as long as the outbox and are trimmed with it, each with its trim line (`<table>_trim`). */
export function postgresOutbox(client: Sql, events: readonly string[] = []): Outbox {
  return {
    identity: () => readIdentity(client),
    read: (from, applied) => readOutbox(client, from, applied),
    freshTransactionId: () => freshTransactionId(client),
    async trim() {
      const more = [await trimOutbox(client)];
      for (const table of events) more.push(await trimEvents(client, table));
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
 * One statement, so that identity, horizon and rows are of one snapshot. `from` undefined: no rows. `applied`: transactions to leave out.
 * @throws StandbyError: a standby's snapshots prove nothing about the primary.
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
  // `not in (select …)` is hashed. `<> all (array)` is not, once Postgres plans without the values, and then a long transaction, behind
  // which thousands of applied ones gather, takes the relay seconds a tick: 13 s at 20 000, where this takes 0.02.
  const [view] = await client<FoundView[]>`
    with pending as (
      select xid, sum(cardinality(tags)) as size
      from public.cache_outbox
      where xid >= ${from === undefined ? null : String(from)}::xid8
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
        select json_agg(json_build_object('xid', xid::text, 'tags', (${client.unsafe(tagsOf('fitting.xid'))})) order by xid)
        from fitting where fits
      ) as rows,
      (select xid::text from fitting where not fits order by xid limit 1) as rest`;
  if (view === undefined || view.standby) throw new StandbyError();
  return view;
}

/** An id assigned now. Not pg_snapshot_xmax, which can equal the id of a running writer. */
export async function freshTransactionId(client: Sql): Promise<bigint> {
  const [row] = await client<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
  return BigInt((row as { xid: string }).xid);
}

/**
 * Those of `xids` whose transactions are over, and the database that says so. An id that was never assigned here is of a history that is
 * gone: over too.
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
 * Deletes the oldest rows, up to the first that is younger than the retention, and moves the trim line with them, in one statement. It asks
 * for no store's position: one that is further behind than the line catches up no more but is purged, so that an outage of Redis cannot fill
 * Postgres. Nothing from the oldest running transaction on is touched, or each tick would find its position below the line until that ends.
 * @returns whether there is more to delete.
 */
export async function trimOutbox(
  client: Sql,
  { retentionMs = RETENTION_MS, maxRows = MAX_ROWS_PER_TRIM } = {},
): Promise<boolean> {
  const [trimmed] = await client<{ count: number }[]>`
    with oldest as (
      select seq, xid, written_at < now() - make_interval(secs => ${retentionMs / SECOND}) as old
      from public.cache_outbox where xid < pg_snapshot_xmin(pg_current_snapshot())
      order by xid, seq limit ${maxRows}
    ),
    due as (
      select seq, xid from oldest
      where (xid, seq) < all (select xid, seq from oldest where not old order by xid, seq limit 1)
    ),
    line as (select (xid::text::numeric + 1)::text::xid8 as below from due order by xid desc limit 1),
    moved as (
      update public.cache_outbox_trim as trim set below = line.below from line where line.below > trim.below
    ),
    -- An array, not a join: that would read the whole table once Postgres plans without the values.
    gone as (delete from public.cache_outbox where seq = any(array(select seq from due)) returning 1)
    select count(*)::int as count from gone`;
  return trimmed?.count === maxRows;
}

/**
 * Deletes the oldest rows of a table of events, up to the first that is younger than the retention, and moves the table's trim line with them,
 * in one statement: whoever reads both in one knows whether something is missing.
 * @returns whether there is more to delete.
 */
export async function trimEvents(
  client: Sql,
  table: string,
  { retentionMs = RETENTION_MS, maxRows = MAX_ROWS_PER_TRIM } = {},
): Promise<boolean> {
  const [trimmed] = await client<{ count: number }[]>`
    with oldest as (
      select xid, seq, at < now() - make_interval(secs => ${retentionMs / SECOND}) as old
      from ${client(table)} order by xid, seq limit ${maxRows}
    ),
    due as (
      select xid, seq from oldest
      where (xid, seq) < all (select xid, seq from oldest where not old order by xid, seq limit 1)
    ),
    last as (select xid, seq from due order by xid desc, seq desc limit 1),
    line as (select (xid::text::numeric + 1)::text::xid8 as below from last),
    moved as (update ${client(`${table}_trim`)} as trim set below = line.below from line where line.below > trim.below),
    gone as (delete from ${client(table)} where (xid, seq) <= (select xid, seq from last) returning 1)
    select count(*)::int as count from gone`;
  return trimmed?.count === maxRows;
}
