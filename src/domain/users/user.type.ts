/** User as GraphQL shows it. */
import { Field, ObjectType } from 'type-graphql';
import { Node } from '../../graphql/node.js';
import type { UserRow } from './user.table.js';

/** Its root value is a row of `users`. */
@ObjectType({
  implements: Node,
  description: 'Someone who creates tasks, is assigned to them, or comments.',
  simpleResolvers: true,
})
export class User extends Node {
  declare id: UserRow['id'];

  @Field(() => String, { description: 'Unique, for people: a login, a mention.' })
  handle: string;

  @Field(() => String, { description: 'The name to show.' })
  name: string;
}
