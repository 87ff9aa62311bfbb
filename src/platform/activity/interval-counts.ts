/** What one process counts while somebody watches: since the last sample. Bounded by names of operations and policies. */
import {
  canonical,
  type LiveRunEnded,
  type Outcome,
  type OutcomeKind,
  type OutcomeReason,
} from '../../engine/cache/index.js';
import { cutText } from '../../std/cut-text.js';
import { type AnsweredFrom, type AnsweredRequest, OperationNames } from '../request-metrics.js';
import { addLatency, type Latencies } from './latencies.js';
import {
  type LiveSample,
  MAX_CALLERS,
  MAX_MISSES_PER_SAMPLE,
  MAX_POLICIES,
  type MissSample,
  type OperationSample,
  type PolicySample,
} from './sample.js';

/** Of a key or an argument, in characters. */
const MAX_SHOWN_CHARS = 300;
const RATE_LIMITED_STATUS = 429;
/** Misses that are described in one interval: more only count. */
const MAX_LISTED = 200;
/** Outcomes whose calls are listed one by one. */
const MISSED: ReadonlySet<OutcomeKind> = new Set<OutcomeKind>(['miss', 'bypass', 'error']);

interface OperationCounts {
  readonly answered: Record<AnsweredFrom, number>;
  readonly latencies: Latencies;
}

interface PolicyCounts {
  readonly outcomes: Map<OutcomeKind, number>;
  readonly reasons: Map<OutcomeReason, number>;
  missMs: number;
  servedChars: number;
}

/** The last of these that were put, oldest first. */
export class Ring<T> {
  readonly #items: T[] = [];
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  put(item: T): void {
    this.#items.push(item);
    if (this.#items.length > this.#max) this.#items.shift();
  }

  get items(): readonly T[] {
    return this.#items;
  }
}

export class IntervalCounts {
  readonly #names = new OperationNames();
  /** By name. */
  readonly #operations = new Map<string, OperationCounts>();
  readonly #policies = new Map<string, PolicyCounts>();
  readonly #misses = new Ring<MissSample>(MAX_MISSES_PER_SAMPLE);
  readonly #limitedCallers = new Set<string>();
  readonly #liveRuns: Record<LiveRunEnded['result'], number> = { sent: 0, unchanged: 0, postponed: 0, failed: 0 };
  readonly #liveDelays: Latencies = new Map();
  readonly #onMiss: (miss: MissSample) => void;
  sqlStatements = 0;
  sqlStatementsSaved = 0;
  rateLimited = 0;
  #listed = 0;

  constructor(onMiss: (miss: MissSample) => void) {
    this.#onMiss = onMiss;
  }

  answered({ operation, caller, status, ms, from, policiesSaved }: AnsweredRequest): void {
    if (status === RATE_LIMITED_STATUS) {
      if (caller !== undefined && this.#limitedCallers.size < MAX_CALLERS) this.#limitedCallers.add(caller);
    }
    if (from === undefined) return;
    this.sqlStatementsSaved += policiesSaved;
    const counts = this.#operationOf(this.#names.shown(operation, caller));
    counts.answered[from]++;
    addLatency(counts.latencies, ms);
  }

  outcome(outcome: Outcome): void {
    const { name, kind, reason, ms, chars } = outcome;
    const counts = this.#policyOf(name);
    if (counts === undefined) return;
    counts.outcomes.set(kind, (counts.outcomes.get(kind) ?? 0) + 1);
    if (chars !== undefined) counts.servedChars += chars;
    if (!MISSED.has(kind)) return;
    if (kind === 'miss') counts.missMs += ms;
    if (reason === undefined) return;
    counts.reasons.set(reason, (counts.reasons.get(reason) ?? 0) + 1);
    if (++this.#listed > MAX_LISTED) return;
    const miss = missOf(outcome, reason);
    this.#misses.put(miss);
    this.#onMiss(miss);
  }

  liveRun({ result, dueMs }: LiveRunEnded): void {
    this.#liveRuns[result]++;
    if (result === 'sent') addLatency(this.#liveDelays, dueMs);
  }

  get live(): LiveSample {
    const { sent, unchanged, postponed, failed } = this.#liveRuns;
    return { sent, unchanged, failed: failed + postponed, delays: [...this.#liveDelays] };
  }

  get rateLimitedCallers(): number {
    return this.#limitedCallers.size;
  }

  get misses(): readonly MissSample[] {
    return this.#misses.items;
  }

  get operations(): OperationSample[] {
    return [...this.#operations].map(([name, { answered, latencies }]) => ({
      name,
      answered,
      latencies: [...latencies],
    }));
  }

  get policies(): PolicySample[] {
    return [...this.#policies].map(([name, { outcomes, reasons, missMs, servedChars }]) => ({
      name,
      outcomes: Object.fromEntries(outcomes),
      reasons: Object.fromEntries(reasons),
      missMs,
      servedChars,
    }));
  }

  #operationOf(name: string): OperationCounts {
    const known = this.#operations.get(name);
    if (known !== undefined) return known;
    const answered = { kept: 0, memory: 0, redis: 0, postgres: 0, bypassed: 0 };
    const made: OperationCounts = { answered, latencies: new Map() };
    this.#operations.set(name, made);
    return made;
  }

  #policyOf(name: string): PolicyCounts | undefined {
    const known = this.#policies.get(name);
    if (known !== undefined || this.#policies.size >= MAX_POLICIES) return known;
    const made: PolicyCounts = { outcomes: new Map(), reasons: new Map(), missMs: 0, servedChars: 0 };
    this.#policies.set(name, made);
    return made;
  }
}

function missOf({ name, arg, key, kind, ms }: Outcome, reason: OutcomeReason): MissSample {
  return {
    atMs: Date.now(),
    policy: name,
    outcome: kind,
    reason,
    key: cutText(key, MAX_SHOWN_CHARS),
    argument: cutText(argumentText(arg), MAX_SHOWN_CHARS),
    ms: Math.round(ms * 100) / 100,
  };
}

/** Of a cached method the arguments that name its call are in the key. */
function argumentText(arg: unknown): string {
  if (typeof arg === 'string') return arg;
  if (typeof arg === 'object' && arg !== null && 'root' in arg) return canonicalText((arg as { args?: unknown }).args);
  return canonicalText(arg);
}

function canonicalText(value: unknown): string {
  try {
    return canonical(value);
  } catch {
    return ''; // a class instance, say
  }
}
