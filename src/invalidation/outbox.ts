/** The statements that read the outbox: a writer's own tags, what the relay has to apply, which transactions are over. */
import { sql } from 'drizzle-orm';
import type { Sql } from 'postgres';
import type { Tag } from '../cache/index.js';
import type { Transaction } from '../db/database.js';

/** A transaction that touched more tags than this touches their tables instead: every entry carries its tables' tags too. */
const MAX_TAGS = 2000;
/** Transactions, and tags in all, that one tick applies; the rest waits for the next, which follows at once. */
const MAX_TRANSACTIONS_PER_TICK = 1000;
const MAX_TAGS_PER_TICK = 10_000;
/** How long rows are kept after every store has applied them: a Redis restored from an older file catches up by them. */
const RETENTION = '1 hour';

export interface Written {
  readonly xid: bigint;
  readonly tags: readonly Tag[];
}

/** What the open transaction has touched so far; undefined when it wrote nothing. */
export async function touchedBy(tx: Transaction): Promise<Written | undefined> {
  const [row] = await tx.execute<{ xid: string | null; tags: Tag[] }>(sql`
    with touched as (
      select distinct tag from cache_outbox, unnest(tags) as tag where xid = pg_current_xact_id_if_assigned()
    )
    select pg_current_xact_id_if_assigned()::text as xid, array(
      select distinct case when (select count(*) from touched) > ${MAX_TAGS} then split_part(tag, ':', 1) else tag end
      from touched
    ) as tags`);
  return row?.xid ? { xid: BigInt(row.xid), tags: row.tags } : undefined;
}

export interface OutboxView {
  /** Every transaction below it is over: the xmin horizon of the snapshot that `rows` were read with. */
  readonly horizon: bigint;
  readonly rows: readonly Written[];
  /** Not all rows fitted: `horizon` was lowered to the first that did not. */
  readonly cut: boolean;
  /** Rows below this are gone. */
  readonly trimmedBelow: bigint;
}

/**
 * One statement, so that horizon and rows are of one snapshot. `from` undefined: no rows. `applied`: transactions to leave out.
 * @throws when the server is a standby: its snapshots prove nothing about the primary.
 */
export async function readOutbox(
  client: Sql,
  from: bigint | undefined,
  applied: readonly string[],
): Promise<OutboxView> {
  const [view] = await client<
    { standby: boolean; horizon: string; trimmed: string; rows: { xid: string; tags: Tag[] }[] | null }[]
  >`
    select
      pg_is_in_recovery() as standby,
      pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
      (select below::text from cache_outbox_trim) as trimmed,
      (
        select json_agg(json_build_object('xid', xid::text, 'tags', tags) order by xid)
        from (
          select xid, case when count(distinct tag) > ${MAX_TAGS}
            then array_agg(distinct split_part(tag, ':', 1)) else array_agg(distinct tag) end as tags
          from cache_outbox, unnest(tags) as tag
          where xid >= ${from === undefined ? null : String(from)}::xid8 and xid <> all (${applied as string[]}::text[]::xid8[])
          group by xid order by xid limit ${MAX_TRANSACTIONS_PER_TICK + 1}
        ) as transactions
      ) as rows`;
  if (view === undefined || view.standby) throw new Error('the relay needs the primary: this Postgres is a standby');
  const all = (view.rows ?? []).map(({ xid, tags }) => ({ xid: BigInt(xid), tags }));
  const fitting = countFitting(all);
  const first = all[fitting];
  const horizon = BigInt(view.horizon);
  return {
    horizon: first !== undefined && first.xid < horizon ? first.xid : horizon,
    rows: all.slice(0, fitting),
    cut: first !== undefined,
    trimmedBelow: BigInt(view.trimmed),
  };
}

/** At least one, so that the largest transaction gets through. */
function countFitting(rows: readonly Written[]): number {
  let tags = 0;
  for (let i = 0; i < rows.length; i++) {
    tags += (rows[i] as Written).tags.length;
    if (i === MAX_TRANSACTIONS_PER_TICK || (i > 0 && tags > MAX_TAGS_PER_TICK)) return i;
  }
  return rows.length;
}

/** An id assigned now. Not pg_snapshot_xmax, which can equal the id of a running writer. */
export async function freshTransactionId(client: Sql): Promise<bigint> {
  const [row] = await client<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
  return BigInt((row as { xid: string }).xid);
}

/** Those of `xids` whose transactions are over. An id that was never assigned here is of a history that is gone: over too. */
export async function finishedOf(client: Sql, xids: readonly string[]): Promise<string[]> {
  const rows = await client<{ xid: string }[]>`
    with latest as materialized (select pg_current_xact_id() as xid)
    select id::text as xid
    from unnest(${xids as string[]}::text[]::xid8[]) as ids(id), latest
    where case when id > latest.xid then true
      else coalesce(pg_xact_status(id), 'committed') in ('committed', 'aborted') end`;
  return rows.map(({ xid }) => xid);
}

/** Deletes what is applied up to `applied` and old enough, and moves the trim line with it, in one statement. */
export async function trimOutbox(client: Sql, applied: bigint): Promise<void> {
  await client`
    with line as (
      select xid from cache_outbox
      where xid < ${String(applied)}::xid8 and written_at < now() - ${RETENTION}::interval
      order by xid desc limit 1
    ),
    moved as (update cache_outbox_trim set below = line.xid from line where line.xid > cache_outbox_trim.below)
    delete from cache_outbox using line where cache_outbox.xid < line.xid`;
}
