/** Reads of webhooks, which are cached, and of their deliveries, which are not: each attempt changes them. */
import { asc, sql } from 'drizzle-orm';
import { grouped, pagesOfAlike, uuids } from '../../db/by-id.js';
import { isoText } from '../../db/columns.js';
import { type DeliveryId, fromUuid, type ProjectId, toUuid, type WebhookId } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import type { BatchLoad } from '../../engine/graphql/index.js';
import type { Database } from '../../engine/postgres/index.js';
import { type Page, type PageItem, type PageQuery, type SortValues, toPage } from '../../graphql/page.js';
import {
  type WebhookDeliveryState,
  type WebhookRow,
  webhookDeliveries,
  webhookRows,
  webhooks,
} from './webhook.table.js';

/** What the API shows. The secret stays in the database. */
export type ListedWebhook = Omit<WebhookRow, 'secret'>;

const { secret: _, ...LISTED } = {
  ...{ id: webhooks.id, projectId: webhooks.projectId, url: webhooks.url, secret: webhooks.secret },
  ...{ events: webhooks.events, enabled: webhooks.enabled, createdAt: webhooks.createdAt },
  ...{ disabledReason: webhooks.disabledReason, disabledAt: webhooks.disabledAt },
};
/** The columns of `ListedWebhook`. */
export const LISTED_COLUMNS = LISTED;

/** The webhooks of a project, oldest first. Bounded by MAX_OF_PROJECT. */
export const webhooksOf: Source<ProjectId, readonly ListedWebhook[]> = {
  name: 'ProjectWebhooks',
  shape: 'rows',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: webhookRows.byProject,
  load: async (projectIds, db) => {
    const statement = db.prepared('webhooks_of_projects', (read, name) =>
      read
        .select(LISTED_COLUMNS)
        .from(webhooks)
        .where(sql`${webhooks.projectId} = any(${sql.placeholder('ids')}::uuid[])`)
        .orderBy(asc(webhooks.id))
        .prepare(name),
    );
    const rows = await statement.execute({ ids: projectIds.map(toUuid) });
    return grouped(projectIds, rows, (row) => row.projectId);
  },
};

export interface DeliveryValue {
  readonly id: DeliveryId;
  readonly messageId: DeliveryId;
  readonly type: string;
  readonly body: string;
  readonly state: WebhookDeliveryState;
  readonly attempts: number;
  readonly createdAt: string;
  readonly dueAt: string;
  readonly finishedAt: string | null;
  readonly responseStatus: number | null;
  readonly responseBody: string | null;
  readonly error: string | null;
}

/** A page with its deliveries, in the order of its items. */
export interface DeliveryPage extends Page<DeliveryId> {
  readonly deliveries: readonly DeliveryValue[];
}

export interface DeliveryList extends PageQuery {
  readonly of: WebhookId;
}

/** Used with `loadUncached`: pages of deliveries, newest first. One statement for all webhooks with the same page. */
export const deliveryPages: BatchLoad<DeliveryList, DeliveryPage, Database> = (lists, db) =>
  pagesOfAlike(lists, (alike) => pagesOf(alike, db));

/** Whether values from a cursor are the position of a delivery. */
export function isDeliveryPlace([seq, id, ...more]: SortValues): boolean {
  return /^\d{1,18}$/.test(seq ?? '') && typeof id === 'string' && more.length === 0;
}

interface FoundDelivery extends Omit<DeliveryValue, 'id' | 'messageId'> {
  readonly [column: string]: unknown;
  readonly list: number;
  readonly seq: string;
  readonly id: string;
  readonly messageId: string;
}

async function pagesOf(lists: readonly DeliveryList[], db: Database): Promise<[DeliveryList, DeliveryPage][]> {
  const { limit, backward, after, before } = lists[0] as DeliveryList;
  const order = sql.raw(backward ? 'seq' : 'seq desc');
  const d = webhookDeliveries;
  const older = after === null ? sql`` : sql` and ${d.seq} < ${after[0]}::text::bigint`;
  const newer = before === null ? sql`` : sql` and ${d.seq} > ${before[0]}::text::bigint`;
  const rows = await db.read.execute<FoundDelivery>(sql`
    select list.n::int - 1 as list, page.*
    from unnest(${uuids(lists.map(({ of }) => of))}) with ordinality as list(webhook_id, n),
    lateral (
      select ${d.seq}::text as seq, ${d.id} as id, ${d.messageId} as "messageId", ${d.type} as type, ${d.body} as body,
        ${d.state} as state, ${d.attempts} as attempts, ${isoText(sql`${d.createdAt}`)} as "createdAt",
        ${isoText(sql`${d.dueAt}`)} as "dueAt", ${isoText(sql`${d.finishedAt}`)} as "finishedAt",
        ${d.responseStatus} as "responseStatus", ${d.responseBody} as "responseBody", ${d.error} as error
      from ${d} where ${d.webhookId} = list.webhook_id${older}${newer}
      order by ${d}.${order} limit ${limit + 1}
    ) as page
    order by list.n, page.seq::bigint ${sql.raw(backward ? '' : 'desc')}`);
  const places = lists.map((_, i) => i);
  const found = grouped(places, rows, ({ list }) => list);
  return lists.map((list, i) => [list, pageOf(found[i] ?? [], list)]);
}

function pageOf(rows: readonly FoundDelivery[], query: PageQuery): DeliveryPage {
  const byId = new Map(rows.map((row) => [fromUuid('delivery', row.id), row]));
  const items = [...byId].map(([id, { seq }]): PageItem<DeliveryId> => ({ id, sort: [seq] }));
  const page = toPage(items, query);
  return { ...page, deliveries: page.items.map(({ id }) => deliveryOf(byId.get(id) as FoundDelivery)) };
}

function deliveryOf({ list: _list, seq: _seq, id, messageId, ...rest }: FoundDelivery): DeliveryValue {
  return { ...rest, id: fromUuid('delivery', id), messageId: fromUuid('delivery', messageId) };
}
