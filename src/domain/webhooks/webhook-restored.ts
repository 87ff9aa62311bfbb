/** What webhooks are sent when their project is restored from the trash. */
import { and, eq, sql } from 'drizzle-orm';
import { newId, type ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { webhookDeliveries, webhooks } from './webhook.table.js';
import { bulkMessage, TASKS_CHANGED } from './webhook-message.js';

/**
 * The fan-out makes no messages for deleted projects, so changes shortly before the deletion may have none. Their
 * receivers read the tasks of the project again, unless a message that says so waits already.
 */
export async function reportRestored(tx: Transaction, projectId: ProjectId): Promise<void> {
  const waiting = sql`
    select from ${webhookDeliveries} d where d.webhook_id = ${webhooks}.id and d.task_id is null and d.type = ${TASKS_CHANGED}
      and d.state = 'PENDING' and d.attempts = 0`;
  const found = await tx
    .select({ id: webhooks.id })
    .from(webhooks)
    .where(and(eq(webhooks.projectId, projectId), webhooks.enabled, sql`not exists (${waiting})`));
  if (found.length === 0) return;
  const message = bulkMessage(projectId, new Date().toISOString());
  await tx.insert(webhookDeliveries).values(
    found.map(({ id: webhookId }) => {
      const id = newId('delivery');
      return { id, webhookId, messageId: id, ...message };
    }),
  );
}
