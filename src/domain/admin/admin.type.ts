/** GraphQL types of the operator API. */
import { Field, Float, InputType, Int, ObjectType } from 'type-graphql';

@InputType({ description: 'Input for the mutation invalidateCache.' })
export class InvalidateCacheInput {
  @Field(() => [String], {
    description:
      'Up to 100 tags. A tag names a table (tasks) or some of its rows (tasks:id=task_…, ' +
      'tasks:project_id,number=project_…,42). Accepts the ids of the API and the UUIDs shown in traces.',
  })
  tags: string[];
}

@ObjectType({ description: 'Result of the mutation invalidateCache.', simpleResolvers: true })
export class InvalidateCachePayload {
  @Field(() => [String], {
    description:
      'The invalidated tags in the form shown in traces, with UUIDs. No process serves entries that were cached ' +
      'under them before.',
  })
  invalidated: string[];
}

@ObjectType({
  description: 'Outcomes of the calls to one cached source or field on one day, summed over all processes.',
  simpleResolvers: true,
})
export class CacheStatistics {
  @Field(() => String, { description: 'Name of the cached source or field.' })
  name: string;

  @Field(() => [String], {
    description:
      'The GraphQL fields that return this value, as Type.field. Empty if it is only read as a part of other fields.',
  })
  coordinates: readonly string[];

  @Field(() => Int, { description: 'Calls served from the memory of a process (near cache).' })
  nearHits: number;

  @Field(() => Int, { description: 'Calls served from Redis.' })
  hits: number;

  @Field(() => Int, { description: 'Stale entries served while being refreshed (time-dependent values only).' })
  stale: number;

  @Field(() => Int, { description: 'Calls that shared an identical load already in progress.' })
  joined: number;

  @Field(() => Int, { description: 'Calls that loaded the value and stored it if possible.' })
  misses: number;

  @Field(() => Int, {
    description:
      'Calls that loaded the value without the cache: freshness could not be proved, or the request bypasses the cache.',
  })
  bypasses: number;

  @Field(() => Int, {
    description:
      'Calls for which Redis failed, so that the value was loaded from Postgres, and calls whose load failed.',
  })
  errors: number;

  @Field(() => Float, {
    nullable: true,
    description: 'Fraction of calls answered without a load of their own, from 0 to 1. Null if there were no calls.',
  })
  hitRate: number | null;
}
