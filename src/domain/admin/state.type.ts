/** GraphQL types of the state of processes, store and relay, as cacheActivity sends it: see platform/activity. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType } from 'type-graphql';

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

  @Field(() => Int, { description: 'Live queries. Equal ones of a viewer are one.' })
  liveQueries: number;

  @Field(() => Int, { description: 'Clients of live queries.' })
  liveClients: number;
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
