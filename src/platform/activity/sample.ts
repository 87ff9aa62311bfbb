/** A sample: what one process counted in about a second, as it is sent to those that watch. Everything in it is bounded. */
import type { OutcomeKind, OutcomeReason } from '../../engine/cache/index.js';
import type { AnsweredFrom } from '../request-metrics.js';

/** Names of operations in one message. Samples have those that OperationNames shows. */
export const MAX_OPERATIONS = 100;
/** An application declares fewer. */
export const MAX_POLICIES = 200;
export const MAX_MISSES_PER_SAMPLE = 20;
export const MAX_CALLERS = 1000;

export type AnsweredCounts = Readonly<Partial<Record<AnsweredFrom, number>>>;

export interface OperationSample {
  readonly name: string;
  readonly answered: AnsweredCounts;
  /** Counts by bucket: see latencies.ts. */
  readonly latencies: readonly (readonly [bucket: number, count: number])[];
}

export interface PolicySample {
  readonly name: string;
  readonly outcomes: Readonly<Partial<Record<OutcomeKind, number>>>;
  readonly reasons: Readonly<Partial<Record<OutcomeReason, number>>>;
  /** Total time of its misses, from the call to its value. */
  readonly missMs: number;
  /** Characters of the entries that were served. */
  readonly servedChars: number;
}

export interface MissSample {
  readonly atMs: number;
  readonly policy: string;
  readonly outcome: OutcomeKind;
  readonly reason: OutcomeReason;
  readonly key: string;
  readonly argument: string;
  readonly ms: number;
}

export interface WorkSample {
  readonly sqlStatements: number;
  readonly sqlStatementsSaved: number;
  readonly redisRoundTrips: number;
  readonly redisReads: number;
}

/** The runs of live queries. */
export interface LiveSample {
  /** Runs whose answer was sent, because it differs from the one before. */
  readonly sent: number;
  readonly unchanged: number;
  readonly failed: number;
  /** From when a query was due until its answer was sent: counts by bucket, see latencies.ts. */
  readonly delays: readonly (readonly [bucket: number, count: number])[];
}

/** As the process is now. */
export interface Gauges {
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

/** Since the process started. */
export interface HealthTotals {
  readonly violations: number;
  readonly checks: number;
  readonly lateTicks: number;
  readonly unleasedMs: number;
  readonly oldFences: number;
  readonly unfencedCommits: number;
  readonly forcedLeases: number;
  readonly purges: number;
  readonly storeFailures: number;
}

export interface HealthSample extends HealthTotals {
  readonly outageMs: number;
  readonly outageReason: string | undefined;
  readonly breakersOpen: number;
  /** Requests refused in the interval, and how many callers sent them. */
  readonly rateLimited: number;
  readonly rateLimitedCallers: number;
}

export interface RelaySample {
  /** When this process last brought the outbox into the store. Absent: not yet. */
  readonly appliedAtMs: number | undefined;
  readonly lagTransactions: number;
}

export interface ProcessIdentity {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAtMs: number;
}

export interface Sample {
  readonly process: ProcessIdentity;
  readonly atMs: number;
  readonly intervalMs: number;
  readonly gauges: Gauges;
  readonly work: WorkSample;
  readonly live: LiveSample;
  readonly operations: readonly OperationSample[];
  readonly policies: readonly PolicySample[];
  readonly misses: readonly MissSample[];
  readonly health: HealthSample;
  readonly relay: RelaySample;
}

/** The format of samples: processes of another build may run beside this one. */
const FORMAT = 2;

export function sampleText(sample: Sample): string {
  return JSON.stringify({ format: FORMAT, sample });
}

/** Undefined for a sample of another format, or none of ours. */
export function readSample(text: string): Sample | undefined {
  try {
    const { format, sample } = JSON.parse(text) as { format: unknown; sample: Sample };
    return format === FORMAT ? sample : undefined;
  } catch {
    return undefined;
  }
}
