/** What operators see and say of the cache. */
import { Field, Float, InputType, Int, ObjectType } from 'type-graphql';

@InputType({ description: 'What is to be read anew.' })
export class InvalidateCacheInput {
  @Field(() => [String], {
    description:
      'At most 100 tags: a table (tasks) or rows of it (tasks:id=task_…, tasks:project_id,number=project_…,42). Ids are those of the API, or UUIDs as in traces.',
  })
  tags: string[];
}

@ObjectType({ description: 'What invalidateCache did.', simpleResolvers: true })
export class InvalidateCachePayload {
  @Field(() => [String], {
    description:
      'The invalidated tags, as traces show them: with UUIDs. What was cached under them is no longer served by any process.',
  })
  invalidated: string[];
}

@ObjectType({
  description: 'How the calls of one cached thing ended, of all processes together.',
  simpleResolvers: true,
})
export class CacheStatistics {
  @Field(() => String, { description: 'What is cached: a source, or a field.' })
  name: string;

  @Field(() => [String], { description: 'The fields that are it; none when it is only read within others.' })
  coordinates: readonly string[];

  @Field(() => Int, { description: "Served from a process's memory." })
  nearHits: number;

  @Field(() => Int, { description: 'Served from the store.' })
  hits: number;

  @Field(() => Int, { description: 'Served while being loaded anew, where the value depends on the time.' })
  stale: number;

  @Field(() => Int, { description: 'Served by an equal load that was under way.' })
  joined: number;

  @Field(() => Int, { description: 'Loaded and stored, if it could be.' })
  misses: number;

  @Field(() => Int, { description: 'Loaded past the cache: its freshness could not be proved just then.' })
  bypasses: number;

  @Field(() => Int, { description: 'Loaded because the store did not answer.' })
  errors: number;

  @Field(() => Float, {
    nullable: true,
    description: 'The share of calls that loaded nothing; null when there were none.',
  })
  hitRate: number | null;
}
