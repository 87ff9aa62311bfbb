/** The data of documents.ts, and of a trace (`extensions.cache`). Times are ms, sizes bytes, unless the name says else. */

export interface AnswerCounts {
  readonly kept: number;
  readonly memory: number;
  readonly redis: number;
  readonly postgres: number;
  readonly bypassed: number;
}

export interface ProcessInfo {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: string;
  readonly memoryEntries: number;
  readonly memoryBytes: number;
  readonly memoryMaxBytes: number;
  readonly heapBytes: number;
  readonly loadsRunning: number;
  readonly loadsWaiting: number;
  readonly maxLoads: number;
  readonly readsRunning: number;
  readonly readsWaiting: number;
  readonly maxReads: number;
  readonly writesRunning: number;
  readonly writesWaiting: number;
  readonly maxWrites: number;
  readonly subscriptions: number;
  readonly liveQueries: number;
  readonly liveClients: number;
}

export interface OperationActivity {
  readonly name: string;
  readonly count: number;
  readonly answered: AnswerCounts;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface Work {
  readonly operations: number;
  readonly answered: AnswerCounts;
  readonly sqlStatements: number;
  readonly sqlStatementsSaved: number;
  readonly redisRoundTrips: number;
  readonly redisReads: number;
  readonly redisReadsSaved: number;
}

export interface LiveActivity {
  readonly sent: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface OutcomeCounts {
  readonly nearHits: number;
  readonly hits: number;
  readonly stale: number;
  readonly joined: number;
  readonly misses: number;
  readonly bypasses: number;
  readonly errors: number;
}

export interface PolicyActivity extends OutcomeCounts {
  readonly name: string;
  readonly reasons: readonly { readonly reason: string; readonly count: number }[];
  readonly missMs: number;
  readonly servedBytes: number;
}

export interface Miss {
  readonly at: string;
  readonly process: string;
  readonly policy: string;
  readonly outcome: string;
  readonly reason: string;
  readonly key: string;
  readonly argument: string;
  readonly ms: number;
}

export interface Group {
  readonly index: number;
  readonly name: string;
  readonly leaseLeftMs: number;
  readonly position: string | null;
  readonly purge: string | null;
  readonly refusal: string | null;
}

export interface Relay {
  readonly process: string | null;
  readonly appliedAt: string | null;
  readonly position: string | null;
  readonly lagTransactions: number;
  readonly lagMs: number;
}

export type Origin = 'API' | 'OUTSIDE' | 'RECOVERED' | 'MANUAL';

export interface Invalidation {
  readonly at: string;
  readonly transactions: readonly string[];
  readonly origin: Origin;
  readonly tables: readonly string[];
  readonly tags: readonly string[];
  readonly tagsOmitted: number;
  readonly knownAfterMs: number | null;
  readonly oldEntries: number | null;
  readonly oldAnswers: number | null;
}

export interface HealthState {
  readonly violations: number;
  readonly checks: number;
  readonly lateTicks: number;
  readonly unleasedMs: number;
  readonly oldFences: number;
  readonly unfencedCommits: number;
  readonly forcedLeases: number;
  readonly purges: number;
  readonly storeFailures: number;
  readonly outageMs: number;
  readonly outageReason: string | null;
  readonly breakersOpen: number;
  readonly outboxRows: number | null;
  readonly outboxBytes: number | null;
  readonly rateLimited: number;
  readonly rateLimitedCallers: number;
}

export interface ActivityMessage {
  readonly at: string;
  readonly intervalMs: number;
  readonly process: string;
  readonly processes: readonly ProcessInfo[];
  readonly work: Work;
  readonly live: LiveActivity;
  readonly operations: readonly OperationActivity[];
  readonly policies: readonly PolicyActivity[];
  readonly misses: readonly Miss[];
  readonly groups: readonly Group[];
  readonly relay: Relay;
  readonly invalidations: readonly Invalidation[];
  readonly invalidationsOmitted: number;
  readonly health: HealthState;
}

export interface Policy {
  readonly name: string;
  readonly coordinates: readonly string[];
  readonly ttlMs: number;
  readonly staleMs: number;
  readonly scope: string;
  readonly shape: string;
  readonly memoryEntries: number;
  readonly memoryBytes: number;
  readonly today: (OutcomeCounts & { readonly hitRate: number | null }) | null;
  readonly lastMisses: readonly Miss[];
}

export interface TagState {
  readonly tag: string;
  readonly state: 'TOKEN' | 'FENCED' | 'NONE';
  readonly text: string | null;
  readonly fencedBy: readonly string[];
  readonly ttlMs: number | null;
  readonly lastInvalidation: { readonly transaction: string; readonly at: string } | null;
  readonly entries: readonly {
    readonly policy: string;
    readonly key: string;
    readonly ageMs: number;
    readonly ttlLeftMs: number;
    readonly bytes: number;
  }[];
  readonly entriesOmitted: number;
  readonly policies: readonly { readonly name: string; readonly entries: number; readonly bytes: number }[];
}

export interface TagLookup {
  readonly text: string;
  readonly kind: 'ROW' | 'TAG';
  readonly table: string;
  readonly found: boolean;
  readonly id: string | null;
  readonly tags: readonly TagState[];
}

export type Outcome = 'near-hit' | 'hit' | 'stale' | 'joined' | 'miss' | 'bypass' | 'error';

export interface TracedCall {
  readonly path: readonly (string | number)[] | null;
  readonly coordinate: string | null;
  readonly name: string;
  readonly outcome: Outcome;
  readonly reason?: string;
  readonly tags: readonly string[];
  readonly ageMs?: number;
  readonly ttlLeftMs?: number;
  readonly bytes?: number;
  readonly ms: number;
  readonly startMs: number;
  readonly roundTrips: readonly number[];
  readonly key?: string;
}

export interface RedisTrip {
  readonly trip: number;
  readonly startMs: number;
  readonly ms: number;
  readonly keys: number;
  readonly tags: number;
  readonly shared: boolean;
}

export interface TracedStatement {
  readonly text: string;
  readonly startMs: number;
  /** Null: it had not ended when the answer was made. */
  readonly ms: number | null;
}

/** FENCE before a COMMIT, RELEASE after it. */
export interface TracedWriteStep {
  readonly step: 'FENCE' | 'RELEASE';
  readonly startMs: number;
  /** Null: it had not ended when the answer was made. */
  readonly ms: number | null;
  readonly tags: number;
}

export interface Trace {
  readonly calls: readonly TracedCall[];
  readonly totals: { readonly redisRoundTrips: number; readonly sqlStatements: number; readonly ms: number };
  readonly invalidated?: readonly string[];
  readonly redis?: readonly RedisTrip[];
  readonly sql?: readonly TracedStatement[];
  readonly writes?: readonly TracedWriteStep[];
}
