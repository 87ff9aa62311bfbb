/** GraphQL types of users. */
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { UserId } from '../../db/ids.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
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

  @Field(() => String, { nullable: true, description: 'The https URL of a picture. Null if the user has none.' })
  avatarUrl: string | null;
}

export const { Edge: UserEdge, Connection: UserConnection } = connectionTypes('User', () => User);

@InputType({
  description: 'Input for the mutation updateProfile. Omitted fields stay unchanged; `null` clears a field.',
})
export class UpdateProfileInput {
  @Field(() => String, {
    nullable: true,
    description: 'Display name, a single line of 1-100 characters. Cannot be null.',
  })
  name?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Unique handle, 1-64 characters without spaces. Cannot be null.',
  })
  handle?: string | null;

  @Field(() => String, { nullable: true, description: 'An https URL of at most 2,000 characters.' })
  avatarUrl?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'E-mail address. Stored in lower case and not used for sign-in. A changed address is not verified.',
  })
  email?: string | null;
}

@InputType({ description: 'Input for the mutation deactivateUser.' })
export class DeactivateUserInput {
  @Field(() => ID, { description: 'Id of the user to deactivate.' })
  id: UserId;
}

@InputType({ description: 'Input for the mutation reactivateUser.' })
export class ReactivateUserInput {
  @Field(() => ID, { description: 'Id of the user to reactivate.' })
  id: UserId;
}

@ObjectType({ simpleResolvers: true })
abstract class UserPayload {
  @Field(() => User, { nullable: true, description: 'The user after the mutation. Null if there are errors.' })
  user?: UserRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation updateProfile.', simpleResolvers: true })
export class UpdateProfilePayload extends UserPayload {}

@ObjectType({ description: 'Result of the mutation deactivateUser.', simpleResolvers: true })
export class DeactivateUserPayload extends UserPayload {}

@ObjectType({ description: 'Result of the mutation reactivateUser.', simpleResolvers: true })
export class ReactivateUserPayload extends UserPayload {}
