/**
 * A project's burndown: the number of open tasks at the end of each of the last days, in UTC. Canceled tasks are not
 * counted.
 */
import { sql } from 'drizzle-orm';
import { GraphQLDate } from 'graphql-scalars';
import { Field, Int, ObjectType } from 'type-graphql';
import { fromUuid, type ProjectId, toUuid } from '../../db/ids.js';
import type { Database } from '../../engine/postgres/index.js';
import { badUserInput } from '../../graphql/errors.js';
import { tasks } from './task.table.js';

const MAX_DAYS = 365;

@ObjectType({ description: 'One day of the burndown of a project.', simpleResolvers: true })
export class BurndownPoint {
  @Field(() => GraphQLDate, { description: 'The day in UTC. The last point is today.' })
  date: string;

  @Field(() => Int, {
    description:
      'Tasks not yet done at the end of this day. A reopened task counts as open on every day; canceled tasks ' +
      'are not counted.',
  })
  remaining: number;

  @Field(() => Int, { description: 'Tasks completed on this day.' })
  completed: number;
}

export interface BurndownQuery {
  readonly projectId: ProjectId;
  readonly days: number;
}

/** @throws BAD_USER_INPUT */
export function checkDays(days: number): number {
  if (days < 1 || days > MAX_DAYS) throw badUserInput('days', `expected 1 to ${MAX_DAYS}, got ${days}`);
  return days;
}

/**
 * One scan over the tasks of all requested projects: each task counts +1 on the day it was created and -1 on the day it
 * was completed.
 */
export async function burndowns(queries: readonly BurndownQuery[], db: Database): Promise<BurndownPoint[][]> {
  const uuids = `{${queries.map(({ projectId }) => toUuid(projectId)).join(',')}}`;
  const days = `{${queries.map((query) => query.days).join(',')}}`;
  const day = (column: ReturnType<typeof sql>) => sql`(${column} at time zone 'UTC')::date`;
  const rows = await db.read.execute<{ id: string; days: number; points: BurndownPoint[] }>(sql`
    with query as (
      select id, days, (now() at time zone 'UTC')::date - days + 1 as first
      from unnest(${uuids}::uuid[], ${days}::int[]) as q(id, days)
    ), event as (
      select q.id, q.days, e.day, e.change, e.done
      from query q join ${tasks} on ${tasks.projectId} = q.id
          and ${tasks.projectId} = any(${uuids}::uuid[]) and ${tasks.status} <> 'CANCELED',
      lateral (
        select greatest(${day(sql`${tasks.createdAt}`)}, q.first) as day, 1 as change, 0 as done
        union all
        select greatest(${day(sql`${tasks.completedAt}`)}, q.first), -1,
          (${day(sql`${tasks.completedAt}`)} >= q.first)::int
        where ${tasks.completedAt} is not null
      ) as e
      union all
      select id, days, first + n, 0, 0 from query, generate_series(0, days - 1) as n
    ), of_day as (
      select id, days, day, sum(sum(change)) over (partition by id, days order by day) as remaining, sum(done) as completed
      from event group by id, days, day
    )
    select id, days, json_agg(json_build_object('date', day, 'remaining', remaining, 'completed', completed) order by day) as points
    from of_day where day <= (now() at time zone 'UTC')::date group by id, days`);
  const found = new Map(rows.map(({ id, days, points }) => [`${fromUuid('project', id)} ${days}`, points]));
  return queries.map((query) => found.get(`${query.projectId} ${query.days}`) ?? []);
}
