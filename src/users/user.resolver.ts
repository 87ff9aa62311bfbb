import { Ctx, Query, Resolver } from 'type-graphql';
import { Cached } from '../graphql/cached.js';
import type { Context } from '../graphql/context.js';
import { userById } from './user.loaders.js';
import { User } from './user.type.js';

@Resolver(() => User)
export class UserResolver {
  @Query(() => User, { description: 'The user the token speaks for.' })
  @Cached(userById)
  viewer(@Ctx() { viewerId }: Context) {
    return viewerId;
  }
}
