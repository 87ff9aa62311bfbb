/** A subscriber of cacheActivity, as the console is one. */
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export interface Message {
  readonly intervalMs: number;
  readonly process: string;
  readonly processes: readonly { readonly id: string; readonly pid: number; readonly subscriptions: number }[];
  readonly work: {
    readonly operations: number;
    readonly answered: Readonly<Record<string, number>>;
    readonly sqlStatements: number;
    readonly sqlStatementsSaved: number;
    readonly redisRoundTrips: number;
    readonly redisReads: number;
    readonly redisReadsSaved: number;
  };
  readonly operations: readonly { readonly name: string; readonly count: number; readonly p50Ms: number }[];
  readonly policies: readonly (Readonly<Record<string, number>> & { readonly name: string })[];
  readonly misses: readonly { readonly policy: string; readonly reason: string; readonly process: string }[];
  readonly groups: readonly { readonly name: string; readonly leaseLeftMs: number; readonly position: string | null }[];
  readonly relay: { readonly process: string | null; readonly position: string | null; readonly lagMs: number };
  readonly invalidations: readonly {
    readonly origin: string;
    readonly transactions: readonly string[];
    readonly tables: readonly string[];
    readonly tags: readonly string[];
    readonly knownAfterMs: number | null;
    readonly oldEntries: number | null;
    readonly oldAnswers: number | null;
  }[];
  readonly invalidationsOmitted: number;
  readonly health: Readonly<Record<string, unknown>>;
}

export interface Watcher {
  readonly messages: Message[];
  readonly errors: { readonly message: string; readonly extensions?: Record<string, unknown> }[];
  stop(): Promise<void>;
}

const COUNTS = 'kept memory redis postgres bypassed';
const DOCUMENT = `subscription { cacheActivity {
  at intervalMs process
  processes { id host pid version startedAt memoryEntries memoryBytes memoryMaxBytes heapBytes loadsRunning loadsWaiting readsRunning readsWaiting maxReads
    maxLoads writesRunning writesWaiting maxWrites subscriptions }
  work { operations answered { ${COUNTS} } sqlStatements sqlStatementsSaved redisRoundTrips redisReads redisReadsSaved }
  operations { name count answered { ${COUNTS} } p50Ms p95Ms }
  policies { name nearHits hits stale joined misses bypasses errors reasons { reason count } missMs servedBytes }
  misses { at process policy outcome reason key argument ms }
  groups { index name leaseLeftMs position purge refusal }
  relay { process appliedAt position lagTransactions lagMs }
  invalidations { at transactions origin tables tags tagsOmitted knownAfterMs oldEntries oldAnswers }
  invalidationsOmitted
  health { violations checks lateTicks unleasedMs oldFences unfencedCommits forcedLeases purges storeFailures outageMs
    outageReason breakersOpen outboxRows outboxBytes rateLimited rateLimitedCallers }
} }`;

export function watch(app: { readonly url: string }, authorization: string): Watcher {
  const client = createClient({
    url: app.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { authorization },
  });
  const messages: Message[] = [];
  const errors: Watcher['errors'] = [];
  client.subscribe<{ cacheActivity: Message }>(
    { query: DOCUMENT },
    {
      next({ data, errors: faults }) {
        if (data?.cacheActivity) messages.push(data.cacheActivity);
        errors.push(...((faults ?? []) as Watcher['errors']));
      },
      error: (faults) => errors.push(...((Array.isArray(faults) ? faults : [faults]) as Watcher['errors'])),
      complete: () => {},
    },
  );
  return { messages, errors, stop: async () => client.dispose() };
}
