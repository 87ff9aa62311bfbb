/** The viewer and its profile, and the checks that the user of a token exists and is active. */
import { Arg, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { UserId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe } from '../../engine/cache/index.js';
import { type Context, type Loads, recordInvalidations } from '../../graphql/context.js';
import { unauthenticated } from '../../graphql/errors.js';
import { toPayload } from '../../graphql/user-error.js';
import { userById } from './user.loaders.js';
import type { UserService } from './user.service.js';
import type { UserRow } from './user.table.js';
import { UpdateProfileInput, UpdateProfilePayload, User } from './user.type.js';

@Resolver(() => User)
export class UserResolver {
  constructor(private readonly service: UserService) {}

  @Query(() => User, { description: 'The authenticated user of this request.' })
  async viewer(@Ctx() { loaders, viewerId }: Context) {
    return known(await loaders.load(userById, viewerId));
  }

  @FieldResolver(() => Boolean, { description: 'Whether the user is the viewer.' })
  isMe(@Root() user: UserRow, @Ctx() { viewerId }: Context) {
    return user.id === viewerId;
  }

  @FieldResolver(() => Boolean, {
    description: 'Whether the user can sign in. False after an operator has deactivated the user.',
  })
  active(@Root() user: UserRow) {
    return user.state === 'ACTIVE';
  }

  @Mutation(() => UpdateProfilePayload, { description: "Changes the viewer's own profile." })
  updateProfile(
    @Ctx() context: Context,
    @Arg('input', () => UpdateProfileInput, { description: 'The fields to change.' }) input: UpdateProfileInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.updateProfile(context, input)));
  }
}

/** @throws UNAUTHENTICATED if the user does not exist, was deleted or is deactivated */
export async function requireUser(loads: Loads, id: UserId): Promise<void> {
  active(known(await loads.load(userById, id)));
}

/** A user who does not exist passes: it sees nothing. @throws UNAUTHENTICATED if the user is deactivated */
export function refuseDeactivated(loads: Loads, id: UserId): MaybePromise<void> {
  return mapMaybe(loads.load(userById, id), active);
}

function known(user: UserRow | null): UserRow {
  if (user === null) throw unauthenticated('The token is for a user who does not exist.');
  return user;
}

function active(user: UserRow | null): void {
  if (user?.state === 'DEACTIVATED') throw unauthenticated('The token is for a user who is deactivated.');
}
