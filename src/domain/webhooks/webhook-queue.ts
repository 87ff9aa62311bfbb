/**
 * The queue of deliveries: which are due, and how an attempt ended. Any number of processes take from it. An attempt is
 * a lease: one whose process dies is due again when the lease ends, and what a process reports after that is ignored.
 */
import { type DeliveryId, fromUuid, toUuid, type WebhookId } from '../../db/ids.js';
import type { Sql } from '../../engine/postgres/index.js';
import { DAY, HOUR, SECOND } from '../../std/time.js';
import type { WebhookResponse } from './webhook-request.js';

/** More than an attempt takes: see webhook-request.ts. */
export const LEASE_MS = 30 * SECOND;
/** Attempts of one webhook at once, in each process. */
export const MAX_OF_WEBHOOK = 5;
/** Attempts of one project at once, in each process. */
export const MAX_ATTEMPTS_OF_PROJECT = 10;
/** A message is sent at least once, and repeated until it is as old. */
export const RETRY_MS = DAY;
/** A webhook is disabled when it has failed for as long. */
const DISABLE_MS = 7 * DAY;
/** A failure begins another time of failures if the one before it is as old. More than the longest delay. */
const PAUSE_MS = DAY;
const FIRST_DELAY_MS = 5 * SECOND;
const MAX_DELAY_MS = HOUR;

export interface Attempt {
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  readonly messageId: DeliveryId;
  /** 1 for the first. */
  readonly number: number;
  readonly url: string;
  readonly secret: string;
  readonly body: string;
}

/**
 * The delay after a failed attempt, unless the receiver asks for a longer one: it doubles from 5 s to an hour, and
 * varies by a quarter, so that the messages of an outage do not come back together.
 * @param random 0 to 1
 */
export function backoffMs(attempt: number, random: number): number {
  const delay = Math.min(FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 30), MAX_DELAY_MS);
  return Math.round(delay * (0.75 + random / 2));
}

/** The delay after a failed attempt: that of `backoffMs`, or up to an hour if the receiver asks for more. */
export function delayMs(
  attempt: number,
  { random, retryAfterMs = 0 }: { readonly random: number; readonly retryAfterMs?: number | undefined },
): number {
  return Math.max(backoffMs(attempt, random), Math.min(retryAfterMs, MAX_DELAY_MS));
}

interface TakenRow {
  readonly id: string;
  readonly webhook_id: string;
  readonly message_id: string;
  readonly attempts: number;
  readonly url: string;
  readonly secret: string;
  readonly body: string;
}

/**
 * Begins up to `max` attempts. Of one task and webhook only the first pending delivery is taken. Projects take turns,
 * and within a project its webhooks, those with fewer attempts under way first. Those of deleted projects wait.
 * @param busy attempts of this process that have not ended, by webhook
 */
export async function takeDue(sql: Sql, max: number, busy: ReadonlyMap<WebhookId, number>): Promise<Attempt[]> {
  const rows = await sql<TakenRow[]>`
    with recursive waiting(id) as (
      (select webhook_id from webhook_deliveries where state = 'PENDING' order by webhook_id limit 1)
      union all
      select (
        select d.webhook_id from webhook_deliveries d
        where d.state = 'PENDING' and d.webhook_id > waiting.id order by d.webhook_id limit 1)
      from waiting where waiting.id is not null
    ),
    busy as (
      select w.id, w.project_id, busy.count
      from unnest(${[...busy.keys()].map(toUuid)}::uuid[], ${[...busy.values()]}::int[]) as busy(id, count)
      join webhooks w on w.id = busy.id
    ),
    firsts as (
      select w.project_id, first.*,
        coalesce(busy.count, 0) + row_number() over (partition by w.id order by first.due_at, first.seq) as turn
      from waiting
      join webhooks w on w.id = waiting.id and w.enabled
      left join busy on busy.id = w.id
      cross join lateral (
        select d.id, d.due_at, d.seq from webhook_deliveries d
        where d.webhook_id = w.id and d.state = 'PENDING' and d.due_at <= now()
          -- One index lookup. An anti join may read the rest of the task's backlog for each of its deliveries.
          and coalesce((
            select e.seq from webhook_deliveries e
            where e.webhook_id = d.webhook_id and e.task_id = d.task_id and e.state = 'PENDING'
            order by e.seq limit 1), d.seq) = d.seq
        order by d.due_at, d.seq limit greatest(0, ${MAX_OF_WEBHOOK} - coalesce(busy.count, 0))
      ) as first
      where not exists (select from trashed_projects t where t.id = w.project_id)
    ),
    turns as (
      select id, due_at, seq, row_number() over (partition by project_id order by turn, due_at, seq)
        + coalesce((select sum(count) from busy where busy.project_id = firsts.project_id), 0) as turn
      from firsts
    ),
    due as (select id from turns where turn <= ${MAX_ATTEMPTS_OF_PROJECT} order by turn, due_at, seq limit ${max}),
    -- Checked again on the newest version of the row: another process may have taken it.
    free as (
      select id from webhook_deliveries where id in (select id from due) and state = 'PENDING' and due_at <= now()
      for update skip locked
    )
    update webhook_deliveries d
    set attempts = d.attempts + 1, due_at = now() + make_interval(secs => ${LEASE_MS / SECOND})
    from free, webhooks w
    where d.id = free.id and w.id = d.webhook_id
    returning d.id, d.webhook_id, d.message_id, d.attempts, d.body, w.url, w.secret`;
  return rows.map(({ id, webhook_id, message_id, attempts, ...rest }) => ({
    ...rest,
    id: fromUuid('delivery', id),
    webhookId: fromUuid('webhook', webhook_id),
    messageId: fromUuid('delivery', message_id),
    number: attempts,
  }));
}

/**
 * Later deliveries of the task, which may wait for this one's next attempt, are due now.
 * @returns whether the attempt was still this process's
 */
export async function recordSuccess(sql: Sql, attempt: Attempt, { status, body }: WebhookResponse): Promise<boolean> {
  const [done] = await sql`
    with done as (
      update webhook_deliveries set state = 'DELIVERED', finished_at = now(),
        response_status = ${status}, response_body = ${body}, error = null
      where ${isOwn(sql, attempt)} returning webhook_id, task_id, seq, attempts
    ),
    behind as (
      update webhook_deliveries d set due_at = now() from done
      where done.attempts > 1 and d.webhook_id = done.webhook_id and d.task_id = done.task_id and d.seq > done.seq
        and d.state = 'PENDING' and d.due_at > now()
    ),
    working as (
      update webhook_states s set failing_since = null from done
      where s.webhook_id = done.webhook_id and s.failing_since is not null
    )
    select from done`;
  return done !== undefined;
}

export interface Failure {
  readonly state: 'PENDING' | 'FAILED';
  /** Whether the webhook has failed for a week, and a delivery for good. */
  readonly tooLong: boolean;
}

/**
 * Records a failure: the delivery is due again after `waitMs`, or has failed for good when it is a day old. Later ones
 * of the same task wait as long, so that looking for due ones does not meet them.
 * @returns undefined if the attempt was no longer this process's
 */
export async function recordFailure(
  sql: Sql,
  attempt: Attempt,
  { status, body, error, waitMs }: WebhookResponse & { readonly waitMs: number },
): Promise<Failure | undefined> {
  const isOld = sql`created_at < now() - make_interval(secs => ${RETRY_MS / SECOND})`;
  const [failure] = await sql<{ state: Failure['state']; too_long: boolean }[]>`
    with done as (
      update webhook_deliveries set
        state = case when ${isOld} then 'FAILED' else 'PENDING' end::webhook_delivery_state,
        finished_at = case when ${isOld} then now() end,
        due_at = now() + make_interval(secs => ${waitMs / SECOND}),
        response_status = ${status}, response_body = ${body}, error = ${error}
      where ${isOwn(sql, attempt)} returning webhook_id, task_id, seq, state, due_at
    ),
    behind as (
      update webhook_deliveries d set due_at = case when done.state = 'PENDING' then done.due_at else now() end
      from done where d.webhook_id = done.webhook_id and d.task_id = done.task_id and d.seq > done.seq
        and d.state = 'PENDING' and case done.state when 'FAILED' then d.due_at > now() else d.due_at < done.due_at end
    ),
    failing as (
      update webhook_states s set failed_at = now(),
        failing_since = case when s.failed_at > now() - make_interval(secs => ${PAUSE_MS / SECOND})
          then coalesce(s.failing_since, now()) else now() end
      from done where s.webhook_id = done.webhook_id
      returning done.state = 'FAILED' and s.failing_since < now() - make_interval(secs => ${DISABLE_MS / SECOND})
        as too_long
    )
    select done.state, failing.too_long from done, failing`;
  return failure && { state: failure.state, tooLong: failure.too_long };
}

/** Gives attempts back that this process has given up, for others to take at once. */
export async function release(sql: Sql, attempts: readonly Attempt[]): Promise<void> {
  await sql`
    update webhook_deliveries d set attempts = d.attempts - 1, due_at = now()
    from unnest(${attempts.map(({ id }) => toUuid(id))}::uuid[], ${attempts.map((one) => one.number)}::int[])
      as own(id, attempts)
    where d.id = own.id and d.attempts = own.attempts and d.state = 'PENDING'`;
}

function isOwn(sql: Sql, { id, number }: Attempt) {
  return sql`id = ${toUuid(id)} and attempts = ${number} and state = 'PENDING'`;
}

const MAX_COUNTED = 100_000;

/** Deliveries that wait, counted up to `MAX_COUNTED`. */
export async function countPending(sql: Sql): Promise<number> {
  const [found] = await sql<{ pending: number }[]>`
    select count(*)::int as pending
    from (select from webhook_deliveries where state = 'PENDING' limit ${MAX_COUNTED}) as counted`;
  return found?.pending ?? 0;
}
