/** GraphQL types of the subscription cacheActivity: see platform/activity. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';

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

  @Field(() => Int, { description: 'Mutations, and queries of which a value was loaded without the cache.' })
  bypassed: number;
}

@ObjectType({ description: 'A process of the server.', simpleResolvers: true })
export class CacheProcess {
  @Field(() => ID, { description: 'Identifies the process as long as it runs.' })
  id: string;

  @Field(() => String, { description: 'Name of the machine.' })
  host: string;

  @Field(() => Int, { description: 'Id of the process on its machine.' })
  pid: number;

  @Field(() => String, { description: 'Version of the server.' })
  version: string;

  @Field(() => GraphQLDateTime, { description: 'When the process started.' })
  startedAt: Date;

  @Field(() => Int, { description: 'Values, kept answers and parts of answers in its process memory.' })
  memoryEntries: number;

  @Field(() => Float, { description: 'Estimated size of its process memory in bytes.' })
  memoryBytes: number;

  @Field(() => Float, { description: 'Limit of its process memory in bytes. 0 if it keeps nothing.' })
  memoryMaxBytes: number;

  @Field(() => Float, { description: 'Used JavaScript heap in bytes.' })
  heapBytes: number;

  @Field(() => Int, { description: 'Loads from Postgres that run now.' })
  loadsRunning: number;

  @Field(() => Int, { description: 'Loads that wait for one of maxLoads slots.' })
  loadsWaiting: number;

  @Field(() => Int, { description: 'Limit of loads that run at once.' })
  maxLoads: number;

  @Field(() => Int, { description: 'Connections for reads that are in use.' })
  readsRunning: number;

  @Field(() => Int, { description: 'Statements that wait for one of maxReads connections.' })
  readsWaiting: number;

  @Field(() => Int, { description: 'Limit of connections for reads.' })
  maxReads: number;

  @Field(() => Int, { description: 'Connections for writes that are in use, each by a transaction.' })
  writesRunning: number;

  @Field(() => Int, { description: 'Transactions that wait for one of maxWrites connections.' })
  writesWaiting: number;

  @Field(() => Int, { description: 'Limit of transactions that write at once.' })
  maxWrites: number;

  @Field(() => Int, { description: 'Open subscriptions.' })
  subscriptions: number;
}

@ObjectType({ description: 'The runs of one operation in the interval.', simpleResolvers: true })
export class CacheOperationActivity {
  @Field(() => String, {
    description:
      'Name of the operation. Empty for operations without one; `(other)` for names beyond 100 of a process or 40 of ' +
      'a caller, and for longer ones than 64 characters.',
  })
  name: string;

  @Field(() => Int, { description: 'How often it was answered.' })
  count: number;

  @Field(() => CacheAnswerCounts, { description: 'The runs of this operation by what answered them.' })
  answered: CacheAnswerCounts;

  @Field(() => Float, { description: 'Half of the responses took at most this long, in ms, within 8 %.' })
  p50Ms: number;

  @Field(() => Float, { description: '95 % of the responses took at most this long, in ms, within 8 %.' })
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

  @Field(() => Float, { description: 'Characters of the entries that were served from memory and Redis.' })
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

@ObjectType({
  description: 'Keys of Redis that share one lease: one group, or 16 in a Redis Cluster.',
  simpleResolvers: true,
})
export class CacheGroup {
  @Field(() => Int, { description: 'Number of the group, from 0. Group 0 has the log of invalidations.' })
  index: number;

  @Field(() => String, { description: 'Hash tag in the names of its keys.' })
  name: string;

  @Field(() => Int, {
    description:
      'Remaining life of the lease in ms. 0 without a lease: then nothing of the group is served from the cache.',
  })
  leaseLeftMs: number;

  @Field(() => String, {
    nullable: true,
    description: 'Transaction id below which all writes have been applied. Null before the first tick of the relay.',
  })
  position: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Purge token of the group, part of every entry. A change means that all entries were voided. Null ' +
      'before the first tick of the relay.',
  })
  purge: string | null;

  @Field(() => String, { nullable: true, description: 'Why Redis refuses writes. Null while it takes them.' })
  refusal: string | null;
}

@ObjectType({
  description: 'The relay brings writes from the outbox into Redis and renews the leases.',
  simpleResolvers: true,
})
export class CacheRelay {
  @Field(() => ID, {
    nullable: true,
    description: 'Id of the process that renewed the leases last. Null if none of the known processes has.',
  })
  process: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When the leases were last renewed. Null if none of the known processes has renewed them.',
  })
  appliedAt: Date | null;

  @Field(() => String, {
    nullable: true,
    description: 'Transaction id below which all writes have been applied. Null before the first tick.',
  })
  position: string | null;

  @Field(() => Int, { description: 'Transaction ids that had ended in Postgres and did not fit into the last tick.' })
  lagTransactions: number;

  @Field(() => Int, { description: 'Time since appliedAt in ms. 0 while appliedAt is null.' })
  lagMs: number;
}

@ObjectType({ description: 'Tags invalidated together, usually by one transaction.', simpleResolvers: true })
export class CacheInvalidation {
  @Field(() => GraphQLDateTime, { description: 'When this process heard of it.' })
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
      'Time from the commit until this process heard of it, in ms. Measured from the start of the ' +
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
  description:
    'What should never or rarely happen: totals of the known processes, each since its start, unless a field says ' +
    'otherwise.',
  simpleResolvers: true,
})
export class CacheHealth {
  @Field(() => Int, { description: 'Served values that the monitor proved old. Any is a bug.' })
  violations: number;

  @Field(() => Int, { description: 'Served values that the monitor compared with Postgres.' })
  checks: number;

  @Field(() => Int, { description: 'Ticks of the relay that found less than half of a lease left.' })
  lateTicks: number;

  @Field(() => Float, { description: 'Time without a lease in ms, as each process saw it.' })
  unleasedMs: number;

  @Field(() => Int, { description: 'Fences older than a second that readers met.' })
  oldFences: number;

  @Field(() => Int, { description: 'Writes that committed without a fence, and were answered 2 s later.' })
  unfencedCommits: number;

  @Field(() => Int, { description: 'Leases granted over a transaction that wrote for more than 10 s.' })
  forcedLeases: number;

  @Field(() => Int, { description: 'How often all entries of a group were voided.' })
  purges: number;

  @Field(() => Int, { description: 'Steps of reads and writes at which Redis failed.' })
  storeFailures: number;

  @Field(() => Float, {
    description: 'How long Redis has taken no writes, in ms: the longest of all processes now. 0 while it takes them.',
  })
  outageMs: number;

  @Field(() => String, {
    nullable: true,
    description: 'Why Redis takes no writes, in words. Null while it takes them.',
  })
  outageReason: string | null;

  @Field(() => Int, { description: 'Circuit breakers that are open now. Behind one, reads skip Redis.' })
  breakersOpen: number;

  @Field(() => Int, {
    nullable: true,
    description: 'Rows of the outbox, counted up to 10000. Null if Postgres does not answer.',
  })
  outboxRows: number | null;

  @Field(() => Float, { nullable: true, description: 'Size of the outbox in bytes. Null if Postgres does not answer.' })
  outboxBytes: number | null;

  @Field(() => Int, { description: 'Requests of the interval that were refused with RATE_LIMITED.' })
  rateLimited: number;

  @Field(() => Int, {
    description:
      'Callers refused with RATE_LIMITED in the interval. A caller that several processes refuse counts once ' +
      'for each.',
  })
  rateLimitedCallers: number;
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

  @Field(() => [CacheProcess], { description: 'Processes that were heard of within 5 seconds, at most 100.' })
  processes: readonly CacheProcess[];

  @Field(() => CacheWork, { description: 'What the operations needed, and what the cache saved.' })
  work: CacheWork;

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
