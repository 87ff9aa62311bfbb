/** What an operator is shown of the outbox. Each is one statement of bounded work. */
import { sql } from 'drizzle-orm';
import type { Sql } from 'postgres';
import type { Tag } from '../cache/index.js';
import type { Executor } from './executor.js';

/** Rows that are counted; rows in which an invalidation is looked for. */
const MAX_COUNTED = 10_000;
const MAX_SEARCHED = 20_000;

/**
 * How long ago these transactions committed, in ms by Postgres's clock. Without `track_commit_timestamp` since they
 * began. Transactions that have left no row are absent.
 */
export async function ageOfTransactions(client: Sql, xids: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (xids.length === 0) return new Map();
  const rows = await client<{ xid: string; ms: number }[]>`
    select xid::text as xid, max(extract(epoch from clock_timestamp() - coalesce(
      case when current_setting('track_commit_timestamp')::boolean then pg_xact_commit_timestamp(xid::xid) end,
      written_at)) * 1000)::float8 as ms
    from public.cache_outbox where xid = any(${xids as string[]}::text[]::xid8[])
    group by xid`;
  return new Map(rows.map(({ xid, ms }) => [xid, ms]));
}

export interface OutboxSize {
  readonly rows: number;
  readonly bytes: number;
}

/** Rows: at most 10 000, which means as many or more. */
export async function outboxSize(client: Sql): Promise<OutboxSize> {
  const [row] = await client<OutboxSize[]>`
    select (select count(*)::int from (select 1 from public.cache_outbox limit ${MAX_COUNTED}) as counted) as rows,
      pg_total_relation_size('public.cache_outbox')::float8 as bytes`;
  return row as OutboxSize;
}

/** Without reading its rows: their number is an estimate of Postgres's statistics. */
export async function estimatedOutboxSize(client: Sql): Promise<OutboxSize> {
  const [row] = await client<OutboxSize[]>`
    select pg_stat_get_live_tuples('public.cache_outbox'::regclass)::float8 as rows,
      pg_total_relation_size('public.cache_outbox')::float8 as bytes`;
  return row as OutboxSize;
}

export interface LastInvalidation {
  readonly xid: string;
  /** When its transaction began. */
  readonly at: Date;
}

/** The last transaction in the newest 20 000 rows that touched each tag. Tags without one are absent. */
export async function lastInvalidations(
  read: Executor,
  tags: readonly Tag[],
): Promise<ReadonlyMap<string, LastInvalidation>> {
  const wanted = sql`${sql.param([...tags])}::text[]`;
  const rows = await read.execute<{ tag: string; xid: string; at: string }>(sql`
    with latest as (
      select xid, seq, tags, written_at from public.cache_outbox order by xid desc, seq desc limit ${MAX_SEARCHED}
    )
    select distinct on (tag) tag, xid::text as xid, (extract(epoch from written_at) * 1000)::text as at
    from latest, unnest(latest.tags) as touched(tag)
    where latest.tags && ${wanted} and tag = any(${wanted})
    order by tag, latest.xid desc, latest.seq desc`);
  return new Map(rows.map(({ tag, xid, at }) => [tag, { xid, at: new Date(Number(at)) }]));
}
