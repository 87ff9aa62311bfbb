/** GraphQL type of users. */
import { Field, ObjectType } from 'type-graphql';
import { Node } from '../../graphql/node.js';
import type { UserRow } from './user.table.js';

/** Resolves from a row of `users`. */
@ObjectType({
  implements: Node,
  description: 'A user, who can create tasks, be assigned to them and comment on them.',
  simpleResolvers: true,
})
export class User extends Node {
  declare id: UserRow['id'];

  @Field(() => String, { description: 'Unique handle for logins and mentions, 1-64 characters without spaces.' })
  handle: string;

  @Field(() => String, { description: 'Display name of the user.' })
  name: string;
}
