/**
 * Webhooks of projects, the messages that are sent to them, and how far task events have become messages. Only
 * `webhooks` is cached: the other tables change with every delivery.
 */
import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, pgEnum, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, instant, primaryId } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { projects } from '../projects/project.table.js';

export const MAX_URL_CHARS = 2000;

/** `FAILURES`: every attempt failed for a week. */
export const webhookDisabledReason = pgEnum('webhook_disabled_reason', ['OWNER', 'FAILURES']);
export type WebhookDisabledReason = (typeof webhookDisabledReason.enumValues)[number];

export enum WebhookEvent {
  TASK_CREATED = 'TASK_CREATED',
  TASK_UPDATED = 'TASK_UPDATED',
  TASK_DELETED = 'TASK_DELETED',
  TASK_COMMENTS_CHANGED = 'TASK_COMMENTS_CHANGED',
}

export const webhooks = pgTable(
  'webhooks',
  {
    id: primaryId('webhook'),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    url: text().notNull(),
    /** Signs the messages, so it is stored as it is: `whsec_` and base64. No read of the API selects it. */
    secret: text().notNull(),
    /** Values of the enum WebhookEvent. */
    events: text().array().notNull(),
    enabled: boolean().notNull().default(true),
    /** Null while it is enabled. */
    disabledReason: webhookDisabledReason('disabled_reason'),
    disabledAt: instant('disabled_at'),
    createdAt: createdAt(),
  },
  (table) => [
    index('webhooks_project').on(table.projectId),
    check('webhooks_url', sql`length(${table.url}) <= ${sql.raw(String(MAX_URL_CHARS))}`),
    check('webhooks_disabled', sql`${table.enabled} = (${table.disabledAt} is null)`),
  ],
);
export type WebhookRow = typeof webhooks.$inferSelect;

export const webhookRows = rowSets(webhooks, {
  byProject: { columns: [webhooks.projectId] },
});

/** What deliveries change of a webhook. */
export const webhookStates = pgTable('webhook_states', {
  webhookId: idColumn('webhook', 'webhook_id')
    .primaryKey()
    .references(() => webhooks.id, { onDelete: 'cascade' }),
  /** A Postgres snapshot. Events that it shows were committed before the webhook was enabled, and are not sent. */
  since: text().notNull().default(sql`pg_current_snapshot()::text`),
  /** The first of the failures since the last success, or since a day without any. Null after a success. */
  failingSince: instant('failing_since'),
  /** The last failure. */
  failedAt: instant('failed_at'),
});

export const webhookDeliveryState = pgEnum('webhook_delivery_state', ['PENDING', 'DELIVERED', 'FAILED']);
export type WebhookDeliveryState = (typeof webhookDeliveryState.enumValues)[number];

export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: primaryId('delivery'),
    /** The order in which messages of one task are sent. */
    seq: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    webhookId: idColumn('webhook', 'webhook_id')
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    /** The first delivery of the same message, of which this is a repetition, or this one. */
    messageId: idColumn('delivery', 'message_id').notNull(),
    /** Null if the message is about many tasks. */
    taskId: idColumn('task', 'task_id'),
    type: text().notNull(),
    /** The bytes that are signed and sent, the same in every attempt. */
    body: text().notNull(),
    state: webhookDeliveryState().notNull().default('PENDING'),
    /** Attempts that have begun. */
    attempts: integer().notNull().default(0),
    /** When the next attempt may begin. During an attempt: when it counts as lost with its process. */
    dueAt: instant('due_at').notNull().default(sql`now()`),
    createdAt: createdAt(),
    /** Null while it is pending. */
    finishedAt: instant('finished_at'),
    /** Status and the beginning of the body of the last response. Null without a response. */
    responseStatus: integer('response_status'),
    responseBody: text('response_body'),
    /** Why the last attempt had no response. */
    error: text(),
  },
  (table) => {
    const isPending = sql`${table.state} = 'PENDING'`;
    return [
      index('webhook_deliveries_list').on(table.webhookId, table.seq),
      index('webhook_deliveries_due').on(table.webhookId, table.dueAt).where(isPending),
      index('webhook_deliveries_task').on(table.webhookId, table.taskId, table.seq).where(isPending),
      index('webhook_deliveries_finished').on(table.finishedAt).where(sql`${table.finishedAt} is not null`),
    ];
  },
);
export type WebhookDeliveryRow = typeof webhookDeliveries.$inferSelect;

/** One row: the task events that have become messages, as the cursor of `taskChangesSince` says it. */
export const webhookCursor = pgTable(
  'webhook_cursor',
  {
    one: boolean().primaryKey().default(true),
    /** A Postgres snapshot: all events that it shows have become messages. */
    since: text().notNull(),
    /** While several pages are read: the snapshot that they are read up to, and the place of the last page's end. */
    until: text(),
    place: bigint({ mode: 'number' }),
  },
  (table) => [check('webhook_cursor_one', sql`${table.one}`)],
);
