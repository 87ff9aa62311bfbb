/** One subscription to a project: turns reports into the changes its viewer may know of now. */
import type { ProjectId, UserId } from '../../db/ids.js';
import type { SubscriptionContext } from '../../graphql/context.js';
import { EventStream } from '../../graphql/event-stream.js';
import { refuseDeactivated } from '../users/user.resolver.js';
import { visibleProjectIds } from './access.js';
import { PROJECT_PARTS, type ProjectPart, type ProjectSubscriber } from './project.events.js';
import type { ProjectChange } from './project-change.type.js';

export class ProjectChanges extends EventStream<ReadonlySet<ProjectPart>, ProjectChange> implements ProjectSubscriber {
  readonly viewerId: UserId;
  readonly projectId: ProjectId;
  /** What waits to be judged, at most one set: reports are added to it until then. */
  #waiting: Set<ProjectPart> | undefined;

  constructor(context: SubscriptionContext, projectId: ProjectId) {
    super(context);
    this.viewerId = context.viewerId;
    this.projectId = projectId;
  }

  tell(parts: readonly ProjectPart[]): void {
    const isFirst = this.#waiting === undefined;
    this.#waiting ??= new Set();
    for (const part of parts) this.#waiting.add(part);
    if (isFirst) this.put(this.#waiting);
  }

  /** The change to send, by the current memberships. */
  protected async judge(parts: ReadonlySet<ProjectPart>): Promise<ProjectChange | undefined> {
    if (this.#waiting === parts) this.#waiting = undefined;
    this.context.renew({ direct: false });
    const { loaders } = this.context;
    const [visible] = await Promise.all([visibleProjectIds(this.context), refuseDeactivated(loaders, this.viewerId)]);
    if (!visible.includes(this.projectId)) this.endAfterThis();
    else if (parts.size > 0) {
      return { changedParts: PROJECT_PARTS.filter((part) => parts.has(part)), projectId: this.projectId };
    }
    return undefined;
  }
}
