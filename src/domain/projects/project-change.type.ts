/** GraphQL types of project changes. */
import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import type { ProjectId } from '../../db/ids.js';
import { PROJECT_PARTS, type ProjectPart } from './project.events.js';

export const ProjectPartType = Object.fromEntries(PROJECT_PARTS.map((part) => [part, part]));
registerEnumType(ProjectPartType, {
  name: 'ProjectPart',
  description: 'A part of a project. Tasks and comments are not among them: see taskChanged.',
  valuesConfig: {
    PROJECT: { description: 'The project itself: its name, its description, and whether it is archived.' },
    LABELS: { description: 'The labels of the project: which there are, their names, colors and descriptions.' },
    MEMBERS: { description: 'The members of the project and their roles.' },
  },
});

@ObjectType({
  description: 'Says which parts of a project changed. Sent when queries already return the change.',
  simpleResolvers: true,
})
export class ProjectChange {
  @Field(() => [ProjectPartType], {
    description:
      'Parts that changed since the previous event, at least one. Every part if the server may have missed changes, ' +
      'for example while Redis was away.',
  })
  changedParts: ProjectPart[];

  @Field(() => ID, { description: 'Id of the project that changed.' })
  projectId: ProjectId;
}
