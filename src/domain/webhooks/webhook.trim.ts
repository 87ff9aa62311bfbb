/**
 * Deletes deliveries that are no longer listed, and gives up those that a disabled webhook, or one of a deleted
 * project, has kept for a day.
 */
import { toUuid, type WebhookId } from '../../db/ids.js';
import type { Sql } from '../../engine/postgres/index.js';
import { DAY, MINUTE, SECOND } from '../../std/time.js';
import { RETRY_MS } from './webhook-queue.js';

/** Finished deliveries that are kept of each webhook, the newest ones, and for how long. */
export const MAX_FINISHED = 100;
const KEPT_MS = 7 * DAY;
const MAX_ROWS_PER_TRIM = 1000;

const MAX_WEBHOOKS_PER_TRIM = 100;
const TRIM_EVERY_MS = MINUTE;

/** Trims in small batches, between other statements of its connection. */
export class WebhookTrim {
  readonly #finished = new Set<WebhookId>();
  #dueAtMs = performance.now() + TRIM_EVERY_MS;

  /** A delivery of this webhook has ended, so it may have more than are kept. */
  finished(id: WebhookId): void {
    this.#finished.add(id);
  }

  /** One batch, if it is time. */
  async step(sql: Sql): Promise<void> {
    if (performance.now() < this.#dueAtMs) return;
    const ids = [...this.#finished].slice(0, MAX_WEBHOOKS_PER_TRIM);
    for (const id of ids) this.#finished.delete(id);
    const more = await trimWebhookDeliveries(sql, ids);
    if (more) for (const id of ids) this.#finished.add(id);
    if (!more && this.#finished.size === 0) this.#dueAtMs = performance.now() + TRIM_EVERY_MS;
  }
}

/**
 * Deletes what is too old, of any webhook, and what is beyond `MAX_FINISHED` of these.
 * @returns whether there is more to do
 */
export async function trimWebhookDeliveries(sql: Sql, ids: readonly WebhookId[]): Promise<boolean> {
  const [trimmed] = await sql<{ deleted: number; expired: number }[]>`
    with due as (
      (select id from webhook_deliveries where finished_at < now() - make_interval(secs => ${KEPT_MS / SECOND})
        limit ${MAX_ROWS_PER_TRIM})
      union all
      (select beyond.id from unnest(${ids.map(toUuid)}::uuid[]) as w(id) cross join lateral (
          select d.id from webhook_deliveries d where d.webhook_id = w.id and d.state <> 'PENDING'
          order by d.seq desc offset ${MAX_FINISHED} limit ${MAX_ROWS_PER_TRIM}
        ) as beyond limit ${MAX_ROWS_PER_TRIM})
    ),
    gone as (
      delete from webhook_deliveries where id = any(array(
        select id from webhook_deliveries where id = any(array(select id from due)) order by id for update skip locked))
      returning 1
    ),
    unserved as (
      select id from webhooks where not enabled
      union
      select w.id from trashed_projects t join webhooks w on w.project_id = t.id
    ),
    expired as (
      update webhook_deliveries set state = 'FAILED', finished_at = now(), error = 'the webhook was disabled, or its project deleted'
      where id = any(array(
        select d.id from unserved w join webhook_deliveries d on d.webhook_id = w.id
        where d.state = 'PENDING'
          and d.created_at < now() - make_interval(secs => ${RETRY_MS / SECOND})
        order by d.id limit ${MAX_ROWS_PER_TRIM} for update of d skip locked))
      returning 1
    )
    select (select count(*)::int from gone) as deleted, (select count(*)::int from expired) as expired`;
  return trimmed !== undefined && Math.max(trimmed.deleted, trimmed.expired) >= MAX_ROWS_PER_TRIM;
}
