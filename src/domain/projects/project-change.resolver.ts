/**
 * The subscription `projectChanged`. Every event is checked against the viewer's current memberships before it is sent.
 */
import { Arg, Ctx, FieldResolver, ID, Resolver, Root, Subscription } from 'type-graphql';
import type { Context, SubscriptionContext } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { readId } from '../../graphql/node.js';
import { instanceOf } from '../../graphql/schema.js';
import { visibleProjectIds } from './access.js';
import type { ProjectEvents } from './project.events.js';
import { visibleProject } from './project.resolver.js';
import { Project } from './project.type.js';
import { ProjectChange } from './project-change.type.js';
import { ProjectChanges } from './project-changes.js';

@Resolver(() => ProjectChange)
export class ProjectChangeResolver {
  constructor(private readonly events: ProjectEvents) {}

  @Subscription(() => ProjectChange, {
    description:
      'Changes to a project, its labels and its members. Several changes may come as one event, and an event may come ' +
      'although nothing changed. Completes when the project is deleted or the viewer is no longer a member.',
    subscribe: ({ args, context, info }) => instanceOf(info, ProjectChangeResolver).subscribe(args.projectId, context),
  })
  projectChanged(
    @Root() change: ProjectChange,
    @Arg('projectId', () => ID, { description: 'Id of the project. The viewer must be a member.' }) _projectId: string,
  ): ProjectChange {
    return change;
  }

  @FieldResolver(() => Project, {
    nullable: true,
    description: 'The project after this change or a later one. Null if the viewer can no longer see it.',
  })
  project(@Root() { projectId }: ProjectChange, @Ctx() context: Context) {
    return visibleProject(context, projectId);
  }

  /** Subscribes before it checks access, so no change falls in between. @throws BAD_USER_INPUT */
  private async subscribe(given: string, context: SubscriptionContext): Promise<ProjectChanges> {
    const projectId = readId('project', given, 'projectId');
    const changes = new ProjectChanges(context, projectId);
    changes.onEnd(await this.events.subscribe(changes));
    try {
      if ((await visibleProjectIds(context)).includes(projectId)) return changes;
      throw badUserInput('projectId', 'expected a project that you are a member of');
    } catch (error) {
      changes.end();
      throw error;
    }
  }
}
