/** What a watcher receives once a second: the samples of all processes, added up. */
import type { OutcomeKind, OutcomeReason, ReleasedBy } from '../../engine/cache/index.js';
import type { AnsweredFrom } from '../request-metrics.js';
import { addLatencies, type Latencies, percentile } from './latencies.js';
import type {
  AnsweredCounts,
  Gauges,
  HealthTotals,
  LiveSample,
  MissSample,
  OperationSample,
  PolicySample,
  ProcessIdentity,
  Sample,
  WorkSample,
} from './sample.js';
import { MAX_OPERATIONS } from './sample.js';

const MAX_MISSES = 50;

export type AnswerTotals = Readonly<Record<AnsweredFrom, number>>;

export interface ProcessState extends Omit<ProcessIdentity, 'startedAtMs'>, Gauges {
  readonly startedAt: Date;
}

export interface OperationActivity {
  readonly name: string;
  readonly count: number;
  readonly answered: AnswerTotals;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface Work extends WorkSample {
  readonly operations: number;
  readonly answered: AnswerTotals;
  readonly redisReadsSaved: number;
}

export interface LiveActivity {
  readonly sent: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface PolicyActivity {
  readonly name: string;
  readonly outcomes: Readonly<Partial<Record<OutcomeKind, number>>>;
  readonly reasons: readonly { readonly reason: OutcomeReason; readonly count: number }[];
  readonly missMs: number;
  readonly servedChars: number;
}

export interface Miss extends MissSample {
  readonly process: string;
}

export interface GroupState {
  readonly index: number;
  readonly name: string;
  readonly leaseLeftMs: number;
  readonly position: string | null;
  readonly purge: string | null;
  readonly refusal: string | null;
}

export interface RelayState {
  readonly process: string | null;
  readonly appliedAt: Date | null;
  readonly position: string | null;
  readonly lagTransactions: number;
  readonly lagMs: number;
}

export interface Invalidation {
  readonly at: Date;
  readonly transactions: readonly string[];
  readonly by: ReleasedBy;
  readonly tables: readonly string[];
  readonly tags: readonly string[];
  readonly tagsOmitted: number;
  readonly knownAfterMs: number | null;
  readonly oldEntries: number | null;
  readonly oldAnswers: number | null;
}

export interface Health extends HealthTotals {
  readonly outageMs: number;
  readonly outageReason: string | null;
  readonly breakersOpen: number;
  readonly outboxRows: number | null;
  readonly outboxBytes: number | null;
  readonly rateLimited: number;
  readonly rateLimitedCallers: number;
}

export interface ActivityMessage {
  readonly at: Date;
  readonly intervalMs: number;
  /** The process that made it. */
  readonly process: string;
  readonly processes: readonly ProcessState[];
  readonly work: Work;
  readonly live: LiveActivity;
  readonly operations: readonly OperationActivity[];
  readonly policies: readonly PolicyActivity[];
  readonly misses: readonly Miss[];
  readonly groups: readonly GroupState[];
  readonly relay: RelayState;
  readonly invalidations: readonly Invalidation[];
  readonly invalidationsOmitted: number;
  readonly health: Health;
}

/** Adds up what all processes counted. */
export function countsOf(
  samples: readonly Sample[],
): Pick<ActivityMessage, 'work' | 'live' | 'operations' | 'policies' | 'misses'> {
  const operations = operationsOf(samples.flatMap((sample) => sample.operations));
  const answered = answeredTotals(operations.map((operation) => operation.answered));
  const count = operations.reduce((sum, operation) => sum + operation.count, 0);
  const total = (read: (work: WorkSample) => number) => samples.reduce((sum, { work }) => sum + read(work), 0);
  const redisReads = total((work) => work.redisReads);
  const misses = samples
    .flatMap(({ process, misses: some }) => some.map((miss): Miss => ({ ...miss, process: process.id })))
    .sort((a, b) => a.atMs - b.atMs)
    .slice(-MAX_MISSES);
  return {
    work: {
      operations: count,
      answered,
      sqlStatements: total((work) => work.sqlStatements),
      sqlStatementsSaved: total((work) => work.sqlStatementsSaved),
      redisRoundTrips: total((work) => work.redisRoundTrips),
      redisReads,
      redisReadsSaved: Math.max(0, count - redisReads),
    },
    live: liveOf(samples.map(({ live }) => live)),
    operations: operations.slice(0, MAX_OPERATIONS),
    policies: policiesOf(samples.flatMap((sample) => sample.policies)),
    misses,
  };
}

function operationsOf(samples: readonly OperationSample[]): OperationActivity[] {
  const byName = new Map<string, { readonly answered: AnsweredCounts[]; readonly latencies: Latencies }>();
  for (const { name, answered, latencies } of samples) {
    const known = byName.get(name) ?? { answered: [] as AnsweredCounts[], latencies: new Map() };
    byName.set(name, known);
    known.answered.push(answered);
    addLatencies(known.latencies, latencies);
  }
  const operations = [...byName].map(([name, { answered, latencies }]): OperationActivity => {
    const totals = answeredTotals(answered);
    const count = Object.values(totals).reduce((sum, one) => sum + one, 0);
    return { name, count, answered: totals, p50Ms: percentile(latencies, 0.5), p95Ms: percentile(latencies, 0.95) };
  });
  return operations.sort((a, b) => b.count - a.count);
}

function liveOf(samples: readonly LiveSample[]): LiveActivity {
  const total = (read: (live: LiveSample) => number) => samples.reduce((sum, live) => sum + read(live), 0);
  const all: Latencies = new Map();
  for (const { delays } of samples) addLatencies(all, delays);
  return {
    sent: total(({ sent }) => sent),
    unchanged: total(({ unchanged }) => unchanged),
    failed: total(({ failed }) => failed),
    p50Ms: percentile(all, 0.5),
    p95Ms: percentile(all, 0.95),
  };
}

function answeredTotals(counts: readonly AnsweredCounts[]): AnswerTotals {
  const totals = { kept: 0, memory: 0, redis: 0, postgres: 0, bypassed: 0 };
  for (const some of counts) {
    for (const from of Object.keys(totals) as AnsweredFrom[]) totals[from] += some[from] ?? 0;
  }
  return totals;
}

function policiesOf(samples: readonly PolicySample[]): PolicyActivity[] {
  const byName = new Map<string, PolicySample[]>();
  for (const sample of samples) byName.set(sample.name, [...(byName.get(sample.name) ?? []), sample]);
  return [...byName]
    .map(([name, some]): PolicyActivity => {
      const reasons = Object.entries<number>(sumOf(some.map((one) => one.reasons)));
      return {
        name,
        outcomes: sumOf(some.map((one) => one.outcomes)),
        reasons: reasons.map(([reason, count]) => ({ reason: reason as OutcomeReason, count })),
        missMs: some.reduce((sum, { missMs }) => sum + missMs, 0),
        servedChars: some.reduce((sum, { servedChars }) => sum + servedChars, 0),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function sumOf<K extends string>(counts: readonly Readonly<Partial<Record<K, number>>>[]): Partial<Record<K, number>> {
  const sums: Partial<Record<K, number>> = {};
  for (const some of counts) {
    for (const [name, count] of Object.entries(some) as [K, number][]) sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

/** @param latest sample of each process. @param interval all samples of the interval */
export function healthOf(
  latest: readonly Sample[],
  interval: readonly Sample[],
): Omit<Health, 'outboxRows' | 'outboxBytes'> {
  const sumIn = (samples: readonly Sample[], read: (health: Sample['health']) => number) =>
    samples.reduce((total, { health }) => total + read(health), 0);
  const sum = (read: (health: Sample['health']) => number) => sumIn(latest, read);
  return {
    violations: sum((health) => health.violations),
    checks: sum((health) => health.checks),
    lateTicks: sum((health) => health.lateTicks),
    unleasedMs: Math.round(sum((health) => health.unleasedMs)),
    oldFences: sum((health) => health.oldFences),
    unfencedCommits: sum((health) => health.unfencedCommits),
    forcedLeases: sum((health) => health.forcedLeases),
    purges: sum((health) => health.purges),
    storeFailures: sum((health) => health.storeFailures),
    outageMs: Math.round(Math.max(0, ...latest.map(({ health }) => health.outageMs))),
    outageReason: latest.find(({ health }) => health.outageReason !== undefined)?.health.outageReason ?? null,
    breakersOpen: sum((health) => health.breakersOpen),
    rateLimited: sumIn(interval, (health) => health.rateLimited),
    rateLimitedCallers: sumIn(interval, (health) => health.rateLimitedCallers),
  };
}
