/** What of a task is made for people: its web address, and its description as HTML. */
import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import { mapMaybe } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import type { MarkdownHtml } from '../markdown/markdown.js';
import { projectById } from '../projects/project.loaders.js';
import type { TaskRow } from './task.table.js';
import { Task } from './task.type.js';

@Resolver(() => Task)
export class TaskPresentationResolver {
  constructor(
    private readonly publicUrl: () => string,
    private readonly markdownHtml: MarkdownHtml,
  ) {}

  @FieldResolver(() => String, {
    description:
      'Address of the task in the web application, for example https://tasks.example.com/tasks/OPS-42. Changes with ' +
      '`identifier`.',
  })
  url(@Root() task: TaskRow, @Ctx() { loaders }: Context) {
    return mapMaybe(
      loaders.load(projectById, task.projectId),
      (project) => `${this.publicUrl()}/tasks/${project?.key}-${task.number}`,
    );
  }

  @FieldResolver(() => String, {
    nullable: true,
    description:
      'Description as HTML that is safe to insert into a page. HTML in the Markdown shows as text. Null if the task ' +
      'has no description.',
    complexity: COSTS.longTextField,
  })
  descriptionHTML(@Root() { description }: TaskRow, @Ctx() context: Context) {
    return description === null ? null : this.markdownHtml(context, description);
  }
}
