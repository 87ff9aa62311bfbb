/** Deletes deliveries that are no longer listed, and gives up those that a disabled webhook has kept for a day. */
import type { Trim } from '../../engine/postgres/index.js';
import { DAY, SECOND } from '../../std/time.js';
import { RETRY_MS } from './webhook-queue.js';

/** Finished deliveries that are kept of each webhook, the newest ones, and for how long. */
export const MAX_FINISHED = 100;
const KEPT_MS = 7 * DAY;
const MAX_ROWS_PER_TRIM = 1000;

export const trimWebhookDeliveries: Trim = async (client) => {
  const [trimmed] = await client<{ deleted: number; expired: number }[]>`
    with due as (
      (select id from webhook_deliveries where finished_at < now() - make_interval(secs => ${KEPT_MS / SECOND})
        limit ${MAX_ROWS_PER_TRIM})
      union all
      (select beyond.id from webhooks w cross join lateral (
          select d.id from webhook_deliveries d where d.webhook_id = w.id and d.state <> 'PENDING'
          order by d.seq desc offset ${MAX_FINISHED} limit ${MAX_ROWS_PER_TRIM}
        ) as beyond limit ${MAX_ROWS_PER_TRIM})
    ),
    gone as (
      delete from webhook_deliveries where id = any(array(
        select id from webhook_deliveries where id = any(array(select id from due)) order by id for update skip locked))
      returning 1
    ),
    expired as (
      update webhook_deliveries set state = 'FAILED', finished_at = now(), error = 'the webhook was disabled'
      where id = any(array(
        select d.id from webhooks w join webhook_deliveries d on d.webhook_id = w.id
        where not w.enabled and d.state = 'PENDING'
          and d.created_at < now() - make_interval(secs => ${RETRY_MS / SECOND})
        order by d.id limit ${MAX_ROWS_PER_TRIM} for update of d skip locked))
      returning 1
    )
    select (select count(*)::int from gone) as deleted, (select count(*)::int from expired) as expired`;
  return trimmed !== undefined && Math.max(trimmed.deleted, trimmed.expired) >= MAX_ROWS_PER_TRIM;
};
