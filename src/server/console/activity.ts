/** What the subscription has reported: the last minutes for the charts, and sums since the page was opened. */
import type { ApiError } from './api-error.js';
import type { ConnectionState } from './stream.js';
import type { ActivityMessage, Invalidation, Miss, OperationActivity, PolicyActivity } from './types.js';

/** Three minutes of one message a second. */
export const WINDOW_S = 180;
const MAX_INVALIDATIONS = 500;
const MAX_MISSES_EACH = 20;
/** More names than the schema has policies. */
const MAX_POLICIES = 500;
/** The table of operations shows what ran within this many messages. */
const OPERATIONS_OF = 10;

export interface ShownInvalidation extends Invalidation {
  readonly number: number;
}

export class Activity {
  state: ConnectionState = 'connecting';
  /** Of the state. */
  error: ApiError | undefined;
  /** Oldest first. */
  readonly messages: ActivityMessage[] = [];
  /** Newest first. */
  invalidations: ShownInvalidation[] = [];
  invalidationsOmitted = 0;
  /** Sums since the page was opened. */
  readonly policies = new Map<string, PolicyActivity>();
  /** Newest first, by policy. */
  readonly misses = new Map<string, Miss[]>();
  readonly #listeners = new Set<() => void>();
  #numbered = 0;

  get latest(): ActivityMessage | undefined {
    return this.messages.at(-1);
  }

  add(message: ActivityMessage): void {
    this.messages.push(message);
    if (this.messages.length > WINDOW_S) this.messages.shift();
    const heard = message.invalidations.map((one) => ({ ...one, number: ++this.#numbered })).reverse();
    this.invalidations = [...heard, ...this.invalidations].slice(0, MAX_INVALIDATIONS);
    this.invalidationsOmitted += message.invalidationsOmitted;
    for (const policy of message.policies) this.#sum(policy);
    for (const miss of message.misses) {
      this.misses.set(miss.policy, [miss, ...(this.misses.get(miss.policy) ?? [])].slice(0, MAX_MISSES_EACH));
    }
    this.#changed();
  }

  setState(state: ConnectionState, error?: ApiError): void {
    this.state = state;
    this.error = error;
    this.#changed();
  }

  /** @returns a function that ends it */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Operations of the last seconds by name, the most frequent first. Percentiles are the worst of a second. */
  recentOperations(): { readonly seconds: number; readonly operations: readonly OperationActivity[] } {
    const recent = this.messages.slice(-OPERATIONS_OF);
    const byName = new Map<string, OperationActivity>();
    for (const { operations } of recent) {
      for (const operation of operations) {
        const known = byName.get(operation.name);
        byName.set(operation.name, known === undefined ? operation : together(known, operation));
      }
    }
    const seconds = recent.reduce((sum, { intervalMs }) => sum + intervalMs / 1000, 0);
    return { seconds, operations: [...byName.values()].sort((a, b) => b.count - a.count) };
  }

  #sum(policy: PolicyActivity): void {
    const known = this.policies.get(policy.name);
    if (known === undefined && this.policies.size >= MAX_POLICIES) return;
    this.policies.set(policy.name, known === undefined ? policy : sumOf(known, policy));
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function together(a: OperationActivity, b: OperationActivity): OperationActivity {
  const { kept, memory, redis, postgres, bypassed } = a.answered;
  return {
    name: a.name,
    count: a.count + b.count,
    answered: {
      kept: kept + b.answered.kept,
      memory: memory + b.answered.memory,
      redis: redis + b.answered.redis,
      postgres: postgres + b.answered.postgres,
      bypassed: bypassed + b.answered.bypassed,
    },
    p50Ms: b.p50Ms,
    p95Ms: Math.max(a.p95Ms, b.p95Ms),
  };
}

function sumOf(a: PolicyActivity, b: PolicyActivity): PolicyActivity {
  const reasons = new Map(a.reasons.map(({ reason, count }) => [reason, count]));
  for (const { reason, count } of b.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  return {
    name: a.name,
    nearHits: a.nearHits + b.nearHits,
    hits: a.hits + b.hits,
    stale: a.stale + b.stale,
    joined: a.joined + b.joined,
    misses: a.misses + b.misses,
    bypasses: a.bypasses + b.bypasses,
    errors: a.errors + b.errors,
    missMs: a.missMs + b.missMs,
    servedBytes: a.servedBytes + b.servedBytes,
    reasons: [...reasons].map(([reason, count]) => ({ reason, count })),
  };
}
