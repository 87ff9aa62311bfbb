/** Deletes history that is older than the server keeps it. */
import { MAX_ROWS_NAMED, type Trim } from '../../engine/postgres/index.js';

/** Entries are deleted in the order of writing, up to the first that is younger than `days`. */
export function trimHistory(days: number): Trim {
  return async (client) => {
    const [trimmed] = await client<{ count: number }[]>`
      with oldest as (
        select seq, at < now() - make_interval(days => ${days}) as old
        from history_entries order by seq limit ${MAX_ROWS_NAMED}
      ),
      due as (select seq from oldest where seq < all (select seq from oldest where not old order by seq limit 1)),
      free as materialized (
        select seq from history_entries where seq = any(array(select seq from due)) order by seq for update skip locked
      ),
      gone as (delete from history_entries where seq = any(array(select seq from free)) returning 1)
      select count(*)::int as count from gone`;
    return trimmed?.count === MAX_ROWS_NAMED;
  };
}
