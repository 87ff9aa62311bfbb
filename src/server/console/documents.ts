/** The operations that the console sends. A test checks them against the schema. */

const MISS = 'at process policy outcome reason key argument ms';

export const ACTIVITY = `subscription ConsoleActivity {
  cacheActivity {
    at intervalMs process
    processes {
      id host pid version startedAt memoryEntries memoryBytes memoryMaxBytes heapBytes loadsRunning loadsWaiting maxLoads
      readsRunning readsWaiting maxReads writesRunning writesWaiting maxWrites subscriptions
      liveQueries liveClients
    }
    work {
      operations sqlStatements sqlStatementsSaved redisRoundTrips redisReads redisReadsSaved
      answered { kept memory redis postgres bypassed }
    }
    live { sent unchanged failed p50Ms p95Ms }
    operations { name count p50Ms p95Ms answered { kept memory redis postgres bypassed } }
    policies {
      name nearHits hits stale joined misses bypasses errors missMs servedBytes
      reasons { reason count }
    }
    misses { ${MISS} }
    groups { index name leaseLeftMs position purge refusal }
    relay { process appliedAt position lagTransactions lagMs }
    invalidations {
      at transactions origin tables tags tagsOmitted knownAfterMs oldEntries oldAnswers
    }
    invalidationsOmitted
    health {
      violations checks lateTicks unleasedMs oldFences unfencedCommits forcedLeases purges storeFailures outageMs
      outageReason breakersOpen outboxRows outboxBytes rateLimited rateLimitedCallers
    }
  }
}`;

export const POLICIES = `query ConsolePolicies {
  cachePolicies {
    name coordinates ttlMs staleMs scope shape memoryEntries memoryBytes
    today { nearHits hits stale joined misses bypasses errors hitRate }
    lastMisses { ${MISS} }
  }
}`;

export const LOOKUP = `query ConsoleLookup($text: String!) {
  cacheTag(text: $text) {
    text kind table found id
    tags {
      tag state text fencedBy ttlMs
      lastInvalidation { transaction at }
      entries { policy key ageMs ttlLeftMs bytes }
      entriesOmitted
      policies { name entries bytes }
    }
  }
}`;

export const TOUCH_TASK = `mutation ConsoleTouchTask($input: UpdateTaskInput!) {
  updateTask(input: $input) {
    task { id title priority }
    errors { __typename ... on UserError { message } }
  }
}`;
