/** GraphQL types of exports. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import type { ProjectId } from '../../db/ids.js';
import { UserError } from '../../graphql/user-error.js';

export enum ExportFormatType {
  JSONL = 'jsonl',
  CSV = 'csv',
}
registerEnumType(ExportFormatType, {
  name: 'ExportFormat',
  description: 'Format of an exported project.',
  valuesConfig: {
    JSONL: {
      description:
        'JSON Lines with users, labels, comments, and tasks with their relations to each other and their places in the ' +
        'manual order. `tasks import` reads all of it.',
    },
    CSV: { description: 'CSV with one row for each task, with its relations and without comments, for spreadsheets.' },
  },
});

@InputType({ description: 'Input for the mutation exportProject.' })
export class ExportProjectInput {
  @Field(() => ID, { description: 'Id of the project to export.' })
  projectId: ProjectId;

  @Field(() => ExportFormatType, { description: 'Format of the file.' })
  format: ExportFormatType;
}

@ObjectType({ description: 'Result of the mutation exportProject.', simpleResolvers: true })
export class ExportProjectPayload {
  @Field(() => String, {
    nullable: true,
    description:
      'Path of the file on this server, for GET requests without a token. A credential: a client that has it can read ' +
      'the project as the viewer until `expiresAt`. Null if there are errors.',
  })
  url?: string;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When `url` expires. A download that has begun continues. Null if there are errors.',
  })
  expiresAt?: string;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
