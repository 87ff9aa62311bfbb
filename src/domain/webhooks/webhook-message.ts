/** The messages that are sent to webhooks. */
import type { ProjectId } from '../../db/ids.js';
import type { TaskEvent } from '../tasks/task.events.js';
import { changeSeen } from '../tasks/task-changes.js';
import { WebhookEvent } from './webhook.table.js';

/** More tasks changed than have messages of their own. It is sent to every webhook, whatever events it names. */
export const TASKS_CHANGED = 'tasks.changed';

const TYPES: Readonly<Record<WebhookEvent, string>> = {
  [WebhookEvent.TASK_CREATED]: 'task.created',
  [WebhookEvent.TASK_UPDATED]: 'task.updated',
  [WebhookEvent.TASK_DELETED]: 'task.deleted',
  [WebhookEvent.TASK_COMMENTS_CHANGED]: 'task.comments_changed',
};

/** As `changedFields` names the comments of a task. */
const COMMENTS = 'comments';

export interface Message {
  readonly type: string;
  readonly body: string;
}

/**
 * The message of an event for a webhook of `projectId`, undefined if the webhook does not want it. A task that moved in
 * was created for this project; one that moved out was deleted.
 * @param identifier of the task now; null if it is in no trash and no project any more
 */
export function messageOf(
  event: TaskEvent,
  { projectId, events }: { readonly projectId: ProjectId; readonly events: readonly string[] },
  identifier: string | null,
): Message | undefined {
  const change = changeSeen(event, new Set([projectId]), projectId);
  if (change === undefined) return undefined;
  const { taskId, version, changedFields, actorId } = change;
  const kind = kindsOf(change.type, changedFields).find((one) => events.includes(one));
  if (kind === undefined) return undefined;
  const data = { projectId, taskId, identifier, version, changedFields, actorId };
  return { type: TYPES[kind], body: JSON.stringify({ type: TYPES[kind], timestamp: event.at, data }) };
}

/** The events that a change is, the preferred one first. */
function kindsOf(type: TaskEvent['type'], changedFields: readonly string[]): WebhookEvent[] {
  if (type === 'CREATED') return [WebhookEvent.TASK_CREATED];
  if (type === 'DELETED') return [WebhookEvent.TASK_DELETED];
  return [
    ...(changedFields.some((field) => field !== COMMENTS) ? [WebhookEvent.TASK_UPDATED] : []),
    ...(changedFields.includes(COMMENTS) ? [WebhookEvent.TASK_COMMENTS_CHANGED] : []),
  ];
}

export function bulkMessage(projectId: ProjectId, at: string): Message {
  return { type: TASKS_CHANGED, body: JSON.stringify({ type: TASKS_CHANGED, timestamp: at, data: { projectId } }) };
}

/**
 * Finds a `tasks.changed` that waits for its first attempt. Its receiver will read everything after that, so it is not
 * sent another one.
 * @param webhookId trusted SQL: the column with the id of the webhook
 */
export function waitingBulkSql(webhookId: string): string {
  return `
    select from webhook_deliveries p
    where p.webhook_id = ${webhookId} and p.task_id is null and p.type = '${TASKS_CHANGED}'
      and p.state = 'PENDING' and p.attempts = 0`;
}
