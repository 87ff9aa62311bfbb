/** The viewer, and the check that a writer still exists. */
import { Ctx, Query, Resolver } from 'type-graphql';
import type { UserId } from '../../db/ids.js';
import type { Context, Loads } from '../../graphql/context.js';
import { unauthenticated } from '../../graphql/errors.js';
import { userById } from './user.loaders.js';
import type { UserRow } from './user.table.js';
import { User } from './user.type.js';

@Resolver(() => User)
export class UserResolver {
  @Query(() => User, { description: 'The user the token speaks for.' })
  async viewer(@Ctx() { loaders, viewerId }: Context) {
    return known(await loaders.load(userById, viewerId));
  }
}

/** @throws UNAUTHENTICATED when there is no such user, or not any more. */
export async function requireUser(loads: Loads, id: UserId): Promise<void> {
  known(await loads.load(userById, id));
}

function known(user: UserRow | null): UserRow {
  if (user === null) throw unauthenticated('The token speaks for a user who does not exist.');
  return user;
}
