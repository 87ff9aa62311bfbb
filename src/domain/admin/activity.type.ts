/** GraphQL types of the subscription cacheActivity, and of what it counts: see platform/activity. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { CacheGroup, CacheHealth, CacheProcess, CacheRelay } from './state.type.js';

export enum CacheInvalidationOrigin {
  API = 'API',
  OUTSIDE = 'OUTSIDE',
  RECOVERED = 'RECOVERED',
  MANUAL = 'MANUAL',
}
registerEnumType(CacheInvalidationOrigin, {
  name: 'CacheInvalidationOrigin',
  description: 'Where an invalidation came from, as far as is known.',
  valuesConfig: {
    API: { description: 'A write through the API, or an import. Its process released it after COMMIT.' },
    OUTSIDE: {
      description:
        'A write outside the API, such as psql, found in the outbox; or a write of the API whose process ended ' +
        'before it released the write.',
    },
    RECOVERED: {
      description:
        'A write of the API whose process ended: its fence was resolved after Postgres reported that the ' +
        'transaction was over.',
    },
    MANUAL: { description: 'The mutation invalidateCache.' },
  },
});

@ObjectType({
  description: 'Operations by what answered them. Each counts once, under the most expensive of its values.',
  simpleResolvers: true,
})
export class CacheAnswerCounts {
  @Field(() => Int, {
    description: 'Answered with a kept answer: a whole response, stored earlier and proved to be still valid.',
  })
  kept: number;

  @Field(() => Int, { description: 'Run with all values from the memory of the process.' })
  memory: number;

  @Field(() => Int, { description: 'Run with values from Redis, and none loaded.' })
  redis: number;

  @Field(() => Int, { description: 'Run with values that were loaded from Postgres, and stored where possible.' })
  postgres: number;

  @Field(() => Int, { description: 'Mutations, and queries with a value that was loaded without the cache.' })
  bypassed: number;
}

@ObjectType({ description: 'The runs of one operation in the interval.', simpleResolvers: true })
export class CacheOperationActivity {
  @Field(() => String, {
    description:
      'Name of the operation. Empty for operations without one; `(other)` for names beyond 100 of a process or 40 of ' +
      'a caller, and for names longer than 64 characters.',
  })
  name: string;

  @Field(() => Int, { description: 'How often it was answered.' })
  count: number;

  @Field(() => CacheAnswerCounts, { description: 'The runs of this operation by what answered them.' })
  answered: CacheAnswerCounts;

  @Field(() => Float, { description: 'Median response time in ms, accurate to 8 %.' })
  p50Ms: number;

  @Field(() => Float, { description: '95th percentile of the response time in ms, accurate to 8 %.' })
  p95Ms: number;
}

@ObjectType({
  description: 'What the operations of the interval needed, and what the cache saved them.',
  simpleResolvers: true,
})
export class CacheWork {
  @Field(() => Int, { description: 'Operations that were answered.' })
  operations: number;

  @Field(() => CacheAnswerCounts, { description: 'All operations by what answered them.' })
  answered: CacheAnswerCounts;

  @Field(() => Int, { description: 'SQL statements of operations and loads.' })
  sqlStatements: number;

  @Field(() => Int, {
    description:
      'A lower bound of SQL statements saved: cached sources and fields that an operation read without loading any ' +
      'of their values. Each would have been one statement or more. A kept answer counts those that were read when ' +
      'it was made.',
  })
  sqlStatementsSaved: number;

  @Field(() => Int, { description: 'Round trips to Redis, including those of writes and of the relay.' })
  redisRoundTrips: number;

  @Field(() => Int, { description: 'Round trips to Redis that read entries or the log of invalidations.' })
  redisReads: number;

  @Field(() => Int, {
    description:
      'A lower bound of reads saved by sharing and process memory: operations minus redisReads, at least 0. Without ' +
      'either, each operation needs one read or more.',
  })
  redisReadsSaved: number;
}

@ObjectType({ description: 'The runs of live queries in the interval.', simpleResolvers: true })
export class CacheLiveActivity {
  @Field(() => Int, { description: 'Runs whose answer was sent, because it differs from the one before.' })
  sent: number;

  @Field(() => Int, { description: 'Runs whose answer was the same as before.' })
  unchanged: number;

  @Field(() => Int, { description: 'Runs without an answer. They are repeated.' })
  failed: number;

  @Field(() => Float, {
    description:
      'Median time in ms, accurate to 8 %, from when a process learned that an answer may have changed until the ' +
      'changed answer was sent. 0 if none was sent.',
  })
  p50Ms: number;

  @Field(() => Float, { description: '95th percentile of the time that p50Ms is the median of, in ms.' })
  p95Ms: number;
}

@ObjectType({ description: 'How often a cached call ended for one reason.', simpleResolvers: true })
export class CacheReasonCount {
  @Field(() => String, {
    description:
      'Why the value was not served from the cache, or not stored: absent, invalid, expired, fenced, no-lease and ' +
      'others.',
  })
  reason: string;

  @Field(() => Int, { description: 'How often in the interval.' })
  count: number;
}

@ObjectType({ description: 'Calls of one cached source or field in the interval.', simpleResolvers: true })
export class CachePolicyActivity {
  @Field(() => String, { description: 'Name of the cached source or field; `Answer` for kept answers.' })
  name: string;

  @Field(() => Int, { description: 'Calls served from the memory of a process.' })
  nearHits: number;

  @Field(() => Int, { description: 'Calls served from Redis.' })
  hits: number;

  @Field(() => Int, { description: 'Stale entries served while being refreshed.' })
  stale: number;

  @Field(() => Int, { description: 'Calls that shared a load in progress.' })
  joined: number;

  @Field(() => Int, { description: 'Calls that loaded the value and stored it if possible.' })
  misses: number;

  @Field(() => Int, { description: 'Calls that loaded the value without the cache.' })
  bypasses: number;

  @Field(() => Int, { description: 'Calls for which Redis failed, and calls whose load failed.' })
  errors: number;

  @Field(() => [CacheReasonCount], { description: 'Reasons of misses, bypasses and errors.' })
  reasons: readonly CacheReasonCount[];

  @Field(() => Float, { description: 'Total time of the misses in ms, each from its call to its value.' })
  missMs: number;

  @Field(() => Float, { description: 'Size of the entries served from memory and Redis, in characters.' })
  servedBytes: number;
}

@ObjectType({ description: 'One call that was not served from the cache.', simpleResolvers: true })
export class CacheMiss {
  @Field(() => GraphQLDateTime, { description: 'When the call ended.' })
  at: Date;

  @Field(() => ID, { description: 'Id of the process.' })
  process: string;

  @Field(() => String, { description: 'Name of the cached source or field.' })
  policy: string;

  @Field(() => String, { description: 'How the call ended: miss, bypass or error.' })
  outcome: string;

  @Field(() => String, { description: 'Why it was not served from the cache.' })
  reason: string;

  @Field(() => String, { description: 'Key of the entry, cut after 300 characters.' })
  key: string;

  @Field(() => String, { description: 'Argument of the call as JSON, or an id, cut after 300 characters.' })
  argument: string;

  @Field(() => Float, { description: 'Time from the call to its end in ms.' })
  ms: number;
}

@ObjectType({ description: 'Tags invalidated together, usually by one transaction.', simpleResolvers: true })
export class CacheInvalidation {
  @Field(() => GraphQLDateTime, { description: 'When this process learned of it.' })
  at: Date;

  @Field(() => [String], { description: 'Transaction ids, usually one. Empty for an invalidation by hand.' })
  transactions: readonly string[];

  @Field(() => CacheInvalidationOrigin, { description: 'Where the write came from, as far as is known.' })
  origin: CacheInvalidationOrigin;

  @Field(() => [String], { description: 'Tables of the tags.' })
  tables: readonly string[];

  @Field(() => [String], { description: 'The invalidated tags, at most 50.' })
  tags: readonly string[];

  @Field(() => Int, { description: 'How many more tags there are.' })
  tagsOmitted: number;

  @Field(() => Float, {
    nullable: true,
    description:
      'Time from the commit until this process learned of it, in ms. Measured from the start of the ' +
      'transaction unless Postgres tracks commit timestamps. Null for an invalidation by hand, after a ' +
      'rollback, or if Postgres does not answer.',
  })
  knownAfterMs: number | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'Entries invalidated in the memory of this process. Null if they were not counted: no process memory, ' +
      'or too many invalidations at once.',
  })
  oldEntries: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Kept answers invalidated in this process. Null if they were not counted.',
  })
  oldAnswers: number | null;
}

@ObjectType({
  description: 'What all processes have done in an interval of about a second, and how they are now.',
  simpleResolvers: true,
})
export class CacheActivity {
  @Field(() => GraphQLDateTime, { description: 'End of the interval.' })
  at: Date;

  @Field(() => Int, { description: 'Length of the interval in ms.' })
  intervalMs: number;

  @Field(() => ID, { description: 'Id of the process that serves this subscription.' })
  process: string;

  @Field(() => [CacheProcess], { description: 'Processes that reported within the last 5 seconds, at most 100.' })
  processes: readonly CacheProcess[];

  @Field(() => CacheWork, { description: 'What the operations needed, and what the cache saved.' })
  work: CacheWork;

  @Field(() => CacheLiveActivity, { description: 'What live queries did.' })
  live: CacheLiveActivity;

  @Field(() => [CacheOperationActivity], { description: 'Operations by name, the most frequent first, at most 100.' })
  operations: readonly CacheOperationActivity[];

  @Field(() => [CachePolicyActivity], { description: 'Cached sources and fields that were called, by name.' })
  policies: readonly CachePolicyActivity[];

  @Field(() => [CacheMiss], {
    description: 'The newest calls that were not served from the cache, oldest first, at most 50.',
  })
  misses: readonly CacheMiss[];

  @Field(() => [CacheGroup], { description: 'Groups of keys in Redis. Empty while Redis is away.' })
  groups: readonly CacheGroup[];

  @Field(() => CacheRelay, { description: 'State of the relay.' })
  relay: CacheRelay;

  @Field(() => [CacheInvalidation], { description: 'What was invalidated, oldest first, at most 100.' })
  invalidations: readonly CacheInvalidation[];

  @Field(() => Int, { description: 'How many more invalidations there were.' })
  invalidationsOmitted: number;

  @Field(() => CacheHealth, { description: 'What should never or rarely happen.' })
  health: CacheHealth;
}
