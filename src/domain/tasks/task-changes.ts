/**
 * One subscription: turns events into the changes its viewer can see now. A task that becomes visible is CREATED for
 * this subscriber, one that becomes hidden is DELETED.
 */
import type { ProjectId, TaskId, UserId } from '../../db/ids.js';
import type { SubscriptionContext } from '../../graphql/context.js';
import { tooManyChanges } from '../../graphql/errors.js';
import { EventStream } from '../../graphql/event-stream.js';
import { visibleProjectIds } from '../projects/access.js';
import { refuseDeactivated } from '../users/user.resolver.js';
import type { TaskEvent, TaskNews, TaskSubscriber } from './task.events.js';
import { type TaskChange, TaskChangeType } from './task-change.type.js';

export type TaskScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'project'; readonly projectId: ProjectId }
  /** `projectId`: the task's current project. */
  | { readonly kind: 'task'; readonly taskId: TaskId; readonly projectId: ProjectId };

export class TaskChanges extends EventStream<TaskNews, TaskChange> implements TaskSubscriber {
  readonly viewerId: UserId;
  #scope: TaskScope | undefined;

  constructor(context: SubscriptionContext) {
    super(context);
    this.viewerId = context.viewerId;
  }

  begin(scope: TaskScope): void {
    this.#scope = scope;
  }

  tell(news: TaskNews): void {
    if (news.kind !== 'event' || this.#concerns(news.event)) this.put(news);
  }

  /** A check without permissions: events outside the scope need not be queued. */
  #concerns({ taskId, projectId, fromProjectId }: TaskEvent): boolean {
    const scope = this.#scope;
    if (scope?.kind === 'task') return taskId === scope.taskId;
    if (scope?.kind === 'project') return scope.projectId === projectId || scope.projectId === fromProjectId;
    return true;
  }

  /** The change to send, by the current memberships. */
  protected async judge(news: TaskNews): Promise<TaskChange | undefined> {
    this.context.renew({ direct: news.kind === 'event' && !news.applied });
    const { loaders } = this.context;
    const [ids] = await Promise.all([visibleProjectIds(this.context), refuseDeactivated(loaders, this.viewerId)]);
    const visible = new Set(ids);
    if (news.kind === 'lost' && this.#mayMiss(news.projectId, visible)) throw tooManyChanges();
    const change = news.kind === 'event' && this.#concerns(news.event) ? this.#seen(news.event, visible) : undefined;
    const { kind, projectId } = { projectId: undefined, ...(this.#scope as TaskScope) };
    if (kind !== 'all' && !visible.has(projectId as ProjectId)) this.endAfterThis();
    if (kind === 'task' && change?.type === TaskChangeType.DELETED) this.endAfterThis();
    return change;
  }

  #mayMiss(projectId: ProjectId | null, visible: ReadonlySet<ProjectId>): boolean {
    const scope = this.#scope as TaskScope;
    return projectId === null || (scope.kind === 'all' ? visible.has(projectId) : scope.projectId === projectId);
  }

  #seen(event: TaskEvent, visible: ReadonlySet<ProjectId>): TaskChange | undefined {
    if (this.#scope?.kind === 'task') this.#scope = { ...this.#scope, projectId: event.projectId };
    return changeSeen(event, visible, this.#scope?.kind === 'project' ? this.#scope.projectId : undefined);
  }
}

/**
 * An event as seen by a viewer of these projects; undefined if it is in none of them.
 * @param only limits the projects to this one
 */
export function changeSeen(
  { type, taskId, projectId, fromProjectId, version, at, actorId, changedFields }: TaskEvent,
  visible: ReadonlySet<ProjectId>,
  only: ProjectId | undefined,
): TaskChange | undefined {
  const inSight = (id: ProjectId) => visible.has(id) && (only === undefined || only === id);
  const before = type !== 'CREATED' && inSight(fromProjectId ?? projectId);
  const now = type !== 'DELETED' && inSight(projectId);
  if (!before && !now) return undefined;
  const seenAs = before && now ? TaskChangeType.UPDATED : now ? TaskChangeType.CREATED : TaskChangeType.DELETED;
  const fields = seenAs === TaskChangeType.UPDATED ? [...changedFields].sort() : [];
  return { type: seenAs, taskId, version, at, actorId, changedFields: fields };
}
