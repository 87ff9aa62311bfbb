/** The query `rateLimit`, with which clients can avoid exceeding their limit. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { Context } from '../../graphql/context.js';

@ObjectType({ description: "The viewer's rate limit in the current window, in points.", simpleResolvers: true })
export class RateLimit {
  @Field(() => Int, { description: 'Points available in each window.' })
  limit: number;

  @Field(() => Int, { description: 'Points this request costs.' })
  cost: number;

  @Field(() => Int, {
    description: 'Points left after this request. An estimate: other servers may have spent some of them.',
  })
  remaining: number;

  @Field(() => GraphQLDateTime, { description: 'When the current window ends and all points are available again.' })
  resetAt: string;
}

@Resolver()
export class RateLimitResolver {
  @Query(() => RateLimit, {
    nullable: true,
    description: "The viewer's rate limit after this request. Null if rate limiting is disabled.",
  })
  rateLimit(@Ctx() context: Context): RateLimit | null {
    const { rateLimit } = context.markUncacheable();
    return rateLimit ?? null;
  }
}
