/** The query `viewer`, and the check that a writing user still exists. */
import { Ctx, Query, Resolver } from 'type-graphql';
import type { UserId } from '../../db/ids.js';
import type { Context, Loads } from '../../graphql/context.js';
import { unauthenticated } from '../../graphql/errors.js';
import { userById } from './user.loaders.js';
import type { UserRow } from './user.table.js';
import { User } from './user.type.js';

@Resolver(() => User)
export class UserResolver {
  @Query(() => User, { description: 'The authenticated user of this request.' })
  async viewer(@Ctx() { loaders, viewerId }: Context) {
    return known(await loaders.load(userById, viewerId));
  }
}

/** @throws UNAUTHENTICATED if the user does not exist or was deleted */
export async function requireUser(loads: Loads, id: UserId): Promise<void> {
  known(await loads.load(userById, id));
}

function known(user: UserRow | null): UserRow {
  if (user === null) throw unauthenticated('The token is for a user who does not exist.');
  return user;
}
