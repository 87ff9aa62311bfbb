/** The fields of Label, the label fields of Project, and the mutations of labels. */
import { Arg, Args, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import { Cached } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { isGiven } from '../../graphql/node.js';
import { connection, PageArgs, pageOf, pageQuery, type SortValues } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { isStorable } from '../../std/text.js';
import { projectById } from '../projects/project.loaders.js';
import type { ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import { labelById, labelsOfProject } from './label.loaders.js';
import type { LabelService } from './label.service.js';
import type { LabelRow } from './label.table.js';
import {
  CreateLabelInput,
  CreateLabelPayload,
  DeleteLabelInput,
  DeleteLabelPayload,
  Label,
  LabelConnection,
  UpdateLabelInput,
  UpdateLabelPayload,
} from './label.type.js';

@Resolver(() => Project)
export class LabelResolver {
  constructor(private readonly service: LabelService) {}

  @FieldResolver(() => LabelConnection, {
    description: 'Labels of the project, sorted by name in code point order: uppercase before lowercase.',
  })
  labels(@Root() project: ProjectRow, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'labels', isPosition);
    const items = () => loaders.load(labelsOfProject, project.id);
    return connection({
      list: 'labels',
      query,
      page: async () => pageOf(await items(), query),
      nodes: (ids) => loaders.loadMany(labelById, ids),
      count: async () => (await items()).length,
    });
  }

  @Mutation(() => CreateLabelPayload, { description: 'Creates a label in a project.' })
  createLabel(
    @Ctx() context: Context,
    @Arg('input', () => CreateLabelInput, { description: 'The label to create.' }) input: CreateLabelInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateLabelPayload, { description: 'Updates fields of a label.' })
  updateLabel(
    @Ctx() context: Context,
    @Arg('input', () => UpdateLabelInput, { description: 'The label and the fields to change.' })
    input: UpdateLabelInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => DeleteLabelPayload, { description: 'Deletes a label and removes it from all tasks.' })
  deleteLabel(
    @Ctx() context: Context,
    @Arg('input', () => DeleteLabelInput, { description: 'The label to delete.' }) input: DeleteLabelInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }
}

@Resolver(() => Label)
export class LabelFieldsResolver {
  @FieldResolver(() => Project, { description: 'Project the label belongs to.' })
  @Cached(projectById)
  project(@Root() label: LabelRow) {
    return label.projectId;
  }
}

function isPosition([name, id]: SortValues): boolean {
  return isGiven(name) && isStorable(name) && isId('label', id ?? '');
}
