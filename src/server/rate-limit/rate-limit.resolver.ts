/** `rateLimit`: where the viewer stands, for clients that would rather ask than run into it. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { Context } from '../../graphql/context.js';

@ObjectType({ description: 'How much the viewer may ask for, in points.', simpleResolvers: true })
export class RateLimit {
  @Field(() => Int, { description: 'How many points a window has.' })
  limit: number;

  @Field(() => Int, { description: 'What this request costs.' })
  cost: number;

  @Field(() => Int, { description: 'How many are left after this request, as far as this server knows.' })
  remaining: number;

  @Field(() => GraphQLDateTime, { description: 'When the window ends and all points are back.' })
  resetAt: string;
}

@Resolver()
export class RateLimitResolver {
  @Query(() => RateLimit, {
    nullable: true,
    description: "The viewer's rate limit after this request; null where there is none.",
  })
  rateLimit(@Ctx() { rateLimit }: Context): RateLimit | null {
    return rateLimit ?? null;
  }
}
