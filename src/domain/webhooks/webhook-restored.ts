/** What webhooks are sent when their project is restored from the trash. */
import { and, eq, sql } from 'drizzle-orm';
import { newId, type ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { webhookDeliveries, webhooks } from './webhook.table.js';
import { bulkMessage, waitingBulkSql } from './webhook-message.js';

/**
 * The fan-out makes no messages for deleted projects, so changes shortly before the deletion may have none. Their
 * receivers read the tasks of the project again, unless a message that says so waits already.
 */
export async function reportRestored(tx: Transaction, projectId: ProjectId): Promise<void> {
  const found = await tx
    .select({ id: webhooks.id })
    .from(webhooks)
    .where(
      and(
        eq(webhooks.projectId, projectId),
        webhooks.enabled,
        sql`not exists (${sql.raw(waitingBulkSql('webhooks.id'))})`,
      ),
    );
  if (found.length === 0) return;
  const message = bulkMessage(projectId, new Date().toISOString());
  await tx.insert(webhookDeliveries).values(
    found.map(({ id: webhookId }) => {
      const id = newId('delivery');
      return { id, webhookId, messageId: id, ...message };
    }),
  );
}
