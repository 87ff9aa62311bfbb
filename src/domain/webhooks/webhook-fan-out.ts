/**
 * Turns task events into pending deliveries. Any number of processes run it; a compare-and-swap on the cursor makes
 * each event one delivery for each webhook that wants it. The cursor and the deliveries are written by one statement, so an
 * event that was committed cannot be lost with a process: the next run, of any process, continues at the cursor.
 *
 * A run reads exactly what became visible since the cursor, by Postgres snapshots, as task-changes-since.ts does. It
 * reads the tables, past the cache, because no subscriber waits for what the cache knows.
 */
import { isoTextSql } from '../../db/columns.js';
import { type DeliveryId, fromUuid, newId, type ProjectId, type TaskId, toUuid, type WebhookId } from '../../db/ids.js';
import type { Sql } from '../../engine/postgres/index.js';
import { MINUTE } from '../../std/time.js';
import { type EventRow, isEvent, perTransaction, type TaskEvent, toEvent } from '../tasks/task.events.js';
import { boundsOf, type ChangeCursor, isExpired, type Snapshot } from '../tasks/task-change.cursor.js';
import { readCursor, readNewRows, readTargets, type Target } from './webhook-events.js';
import { bulkMessage, type Message, messageOf, TASKS_CHANGED, waitingBulkSql } from './webhook-message.js';

/** Events of one step, each of which may be a delivery of each webhook of a project. */
export const MAX_EVENTS = 2000;
/** Pending deliveries of one webhook. Beyond them changes are not sent one by one. */
export const MAX_PENDING = 10_000;
/** What says that there are too many changes waits for others of its kind. */
const BULK_DELAY_MS = MINUTE;
/** An idle cursor moves as often, so that a late run has little to look at. Much less than events are kept. */
const MOVE_EVERY_MS = MINUTE / 2;

interface NewDelivery extends Message {
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  readonly taskId: TaskId | null;
  /** Of the event. Null: not of one transaction, and wanted in any case. */
  readonly xid: string | null;
  readonly delayMs: number;
}

export interface FanOutOptions {
  readonly sql: () => Sql;
  readonly log: { warn(details: object, message: string): void };
}

export class WebhookFanOut {
  readonly #options: FanOutOptions;
  #movedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** One step. @returns whether there may be more to do at once */
  async step(): Promise<boolean> {
    const sql = this.#options.sql();
    const cursor = await readCursor(sql);
    if (cursor === undefined) return false; // no webhook is enabled
    const { snapshot, below, rows, end } = await readNewRows(sql, cursor, MAX_EVENTS);
    if (isExpired(cursor, snapshot, below)) return this.#skip(cursor, { snapshot, below });
    const until = cursor.rest?.until ?? snapshot;
    const next: ChangeCursor = end === null ? { since: until } : { since: cursor.since, rest: { until, after: end } };
    if (
      rows.length === 0 &&
      end === null &&
      cursor.rest === undefined &&
      performance.now() - this.#movedAtMs < MOVE_EVERY_MS
    ) {
      return false;
    }
    this.#movedAtMs = performance.now();
    await advance(sql, { cursor, next, deliveries: await deliveriesOf(sql, rows) });
    return end !== null;
  }

  /** Events may be gone. Each webhook that may have missed some is sent a message that says so. */
  async #skip(cursor: ChangeCursor, { snapshot, below }: { snapshot: Snapshot; below: bigint }): Promise<boolean> {
    const sql = this.#options.sql();
    const missed = await sql<{ id: string; project_id: string; at: string }[]>`
      select w.id, w.project_id, ${sql.unsafe(isoTextSql('now()'))} as at from webhooks w join webhook_states s on s.webhook_id = w.id
      where w.enabled and (
        pg_snapshot_xmax(s.since::pg_snapshot) < ${String(below)}::text::xid8
        or pg_snapshot_xmax(s.since::pg_snapshot) > pg_snapshot_xmax(${snapshot}::text::pg_snapshot))`;
    const deliveries = missed.map((one) =>
      deliveryOf(fromUuid('webhook', one.id), bulkMessage(fromUuid('project', one.project_id), one.at)),
    );
    const next = afterTrimmed(cursor, { snapshot, below });
    if (!(await advance(sql, { cursor, next, deliveries, latest: snapshot }))) return true;
    if (missed.length > 0) {
      const message = 'task events were trimmed before they became messages: webhooks receive tasks.changed instead';
      this.#options.log.warn({ webhooks: missed.length }, message);
    }
    return true;
  }
}

/** A cursor that has seen what may have been trimmed, and else what `cursor` has seen. */
function afterTrimmed(
  { since, rest }: ChangeCursor,
  { snapshot, below }: { readonly snapshot: Snapshot; readonly below: bigint },
): ChangeCursor {
  const [seen, now] = [boundsOf(since), boundsOf(snapshot)];
  if (seen.xmax > now.xmax || (rest !== undefined && boundsOf(rest.until).xmax > now.xmax)) return { since: snapshot };
  const xmax = seen.xmax > below ? seen.xmax : below;
  const running = seen.running.filter((xid) => xid >= below || now.running.includes(xid));
  return { since: `${running[0] ?? xmax}:${xmax}:${running.join(',')}` as Snapshot, ...(rest && { rest }) };
}

async function deliveriesOf(sql: Sql, page: readonly EventRow[]): Promise<NewDelivery[]> {
  if (page.length === 0) return [];
  const events = perTransaction(page.filter(isEvent).map(toEvent));
  const bulk = page.filter(({ type }) => type === 'MANY');
  const { targets, tasks } = await readTargets(sql, { events, bulk, maxPending: MAX_PENDING });
  return targets.flatMap((target) => {
    const { projectId } = target;
    const full = target.pending >= MAX_PENDING;
    const ofTasks = full ? [] : events.flatMap((event) => deliveryOfEvent(event, target, tasks.get(event.taskId)));
    const manyAt = bulk.findLast((row) => row.projectId === null || row.projectId === toUuid(projectId))?.at;
    const fullAt = full ? events.findLast((event) => concerns(event, projectId))?.at : undefined;
    const at = manyAt ?? fullAt;
    const ofMany = at === undefined ? [] : [deliveryOf(target.id, bulkMessage(projectId, at), full)];
    return [...ofTasks, ...ofMany];
  });
}

function concerns({ projectId, fromProjectId }: TaskEvent, of: ProjectId): boolean {
  return projectId === of || fromProjectId === of;
}

function deliveryOfEvent(
  event: TaskEvent,
  target: Target,
  task: { readonly projectId: ProjectId; readonly identifier: string } | undefined,
): NewDelivery[] {
  if (!concerns(event, target.projectId)) return [];
  const identifier = task?.projectId === target.projectId ? task.identifier : null;
  const message = messageOf(event, target, identifier);
  if (message === undefined) return [];
  return [{ ...deliveryOf(target.id, message), taskId: event.taskId, xid: event.xid }];
}

function deliveryOf(webhookId: WebhookId, message: Message, full = false): NewDelivery {
  const delayMs = full ? BULK_DELAY_MS : 0;
  return { ...message, id: newId('delivery'), webhookId, taskId: null, xid: null, delayMs };
}

interface Step {
  readonly cursor: ChangeCursor;
  readonly next: ChangeCursor;
  readonly deliveries: readonly NewDelivery[];
  /** Webhooks that were enabled later, in the history of another Postgres, count as enabled then. */
  readonly latest?: Snapshot;
}

/**
 * Moves the cursor and inserts the deliveries, unless another process has moved it. A message about many tasks is left
 * out while one waits.
 * @returns whether it has moved
 */
async function advance(sql: Sql, { cursor, next, deliveries, latest }: Step): Promise<boolean> {
  const rows = deliveries.map(({ id, webhookId, taskId, ...rest }) => ({
    ...rest,
    id: toUuid(id),
    webhookId: toUuid(webhookId),
    taskId: taskId && toUuid(taskId),
  }));
  const [moved] = await sql<{ moved: boolean }[]>`
    with moved as (
      update webhook_cursor
      set since = ${next.since}, until = ${next.rest?.until ?? null}, place = ${next.rest?.after ?? null}
      where since = ${cursor.since} and until is not distinct from ${cursor.rest?.until ?? null}
        and place is not distinct from ${cursor.rest?.after ?? null}::bigint
      returning true as moved
    ),
    ${latest === undefined ? sql`` : restarted(sql, latest)}
    inserted as (
      insert into webhook_deliveries (id, webhook_id, message_id, task_id, type, body, due_at)
      select d.id, d."webhookId", d.id, d."taskId", d.type, d.body, now() + make_interval(secs => d."delayMs" / 1000)
      from moved cross join rows from (json_to_recordset(${JSON.stringify(rows)}::text::json) as (
        id uuid, "webhookId" uuid, "taskId" uuid, type text, body text, xid text, "delayMs" float8
      )) with ordinality as d(id, "webhookId", "taskId", type, body, xid, "delayMs", n)
      join webhooks w on w.id = d."webhookId" and w.enabled
      join webhook_states s on s.webhook_id = w.id
      where (d.xid is null or not pg_visible_in_snapshot(d.xid::xid8, s.since::pg_snapshot))
        and (d.type <> ${TASKS_CHANGED} or not exists (${sql.unsafe(waitingBulkSql('w.id'))}))
      order by d.n
    )
    select moved from moved`;
  return moved?.moved === true;
}

/** A restored Postgres assigns again what later snapshots show already. */
function restarted(sql: Sql, latest: Snapshot) {
  return sql`
    restarted as (
      update webhook_states set since = ${latest} from moved
      where pg_snapshot_xmax(since::pg_snapshot) > pg_snapshot_xmax(${latest}::text::pg_snapshot)
    ),`;
}
