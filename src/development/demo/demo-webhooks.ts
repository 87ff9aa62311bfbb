/** A webhook of the demo data with deliveries of each state that has ended. It is disabled: demo data is sent nowhere. */
import { type Id, newId, type ProjectId, type TaskId } from '../../db/ids.js';
import { WebhookEvent, webhookDeliveries, webhookStates, webhooks } from '../../domain/webhooks/webhook.table.js';
import { newSecret } from '../../domain/webhooks/webhook-signature.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { DAY, MINUTE } from '../../std/time.js';

interface DemoWebhook {
  readonly projectId: ProjectId;
  /** The task that the messages are about. */
  readonly taskId: TaskId;
  readonly nowMs: number;
}

export async function writeDemoWebhook(tx: Transaction, { projectId, taskId, nowMs }: DemoWebhook): Promise<void> {
  const at = (ms: number) => new Date(nowMs - ms).toISOString();
  const id = newId('webhook', nowMs - DAY);
  await tx.insert(webhooks).values({
    ...{ id, projectId, url: 'https://hooks.example.com/tasks', secret: newSecret() },
    ...{ events: Object.values(WebhookEvent), createdAt: at(DAY) },
    ...{ enabled: false, disabledReason: 'OWNER', disabledAt: at(MINUTE) },
  });
  await tx.insert(webhookStates).values({ webhookId: id });
  const delivery = (atMs: number, type: string, more: Partial<typeof webhookDeliveries.$inferInsert>) => {
    const deliveryId: Id<'delivery'> = newId('delivery', nowMs - atMs);
    const data = { projectId, taskId, identifier: null, version: 1, changedFields: [], actorId: null };
    return {
      ...{ id: deliveryId, webhookId: id, messageId: deliveryId, taskId, type, createdAt: at(atMs), ...more },
      body: JSON.stringify({ type, timestamp: at(atMs), data }),
      finishedAt: at(atMs - MINUTE),
    };
  };
  await tx.insert(webhookDeliveries).values([
    delivery(20 * MINUTE, 'task.created', {
      ...{ state: 'DELIVERED', attempts: 2, responseStatus: 200, responseBody: 'ok' },
    }),
    delivery(10 * MINUTE, 'task.updated', {
      ...{ state: 'FAILED', attempts: 31, error: 'queryA ENOTFOUND hooks.example.com' },
    }),
  ]);
}
