/** Policies: what a resolver method, a source or a memoized function declares about its cached results. */

import { CacheError } from './errors.js';
import type { Tag } from './tag.js';
import { MINUTE } from './time.js';

export type Scope = 'public' | 'viewer';

export interface Policy<A> {
  /** Identifies the cached call in keys, traces and the table of policies: `Project.stats`, `User`. */
  readonly name: string;
  /**
   * Identifies the form of the stored value. Another form has another key, so builds with different forms do not share
   * entries.
   */
  readonly shape: string;
  /**
   * How long an entry may be served, ms. If the value depends on the database alone, this only bounds memory, since
   * writes invalidate exactly. If it depends on the time, this is its freshness.
   */
  readonly ttlMs: number;
  /**
   * The value depends on the time (overdue, the last 7 days, an outside service), so `ttlMs` is its freshness. The
   * monitor skips it.
   */
  readonly timeDependent?: boolean;
  /**
   * How long after `ttlMs` an entry may be served while one process refreshes it, ms. Only for values that depend on
   * the time; writes still invalidate at once. Default 0.
   */
  readonly staleMs?: number;
  /** `ttlMs` of a `null` value, for what does not exist. Default: `ttlMs`, at most 10 minutes. */
  readonly negativeTtlMs?: number;
  /** Which viewers may share an entry. */
  readonly scope: Scope;
  /** The row sets that the value depends on. A pure function of the arguments. */
  readonly tags: (args: A) => readonly Tag[];
  /** The part of the arguments that identifies the call, as a plain value. Default: all of them. */
  readonly key?: (args: A) => unknown;
  /** Larger entries are not stored. Characters; default 256 Ki. */
  readonly maxChars?: number;
}

/**
 * Takes a value of another source, `policy`: what that source would load for `arg`.
 * @throws CacheError POLICY if its scope is not `public`
 */
export type Bring = <A>(policy: Policy<A>, arg: A, value: unknown) => void;

export interface SharedLoads<A> {
  readonly by: object;
  readonly when: (arg: A) => boolean;
  readonly max?: number | undefined;
}

/** A policy with its batch load: one value for every argument, in their order. */
export interface Source<A, V> extends Policy<A> {
  /** `signal` aborts when the last caller has left. `bring`: see `brings`; absent where nothing would be kept. */
  readonly load: (args: readonly A[], signal: AbortSignal, bring?: Bring) => Promise<readonly V[]>;
  /** Its load may bring values of other sources along: see brought-values.ts. Default: false. */
  readonly brings?: boolean;
  /**
   * Loads that begin in one event-loop tick may be one load, for several callers: those of sources with the same `by`,
   * whose `load` functions must do the same, if `when` is true for each argument. Absent: each caller's misses are one
   * load. `max`: misses in one load; default 100.
   */
  readonly shared?: SharedLoads<A> | undefined;
  /**
   * Whether the load may read through the cache itself. If not, no async context follows it, and it finds no
   * `loadSignal`. Default: true.
   */
  readonly reentrant?: boolean;
  /**
   * A load may keep the source busy for seconds. Few such loads run at once, so that others find a slot. Only
   * where `reentrant` is false.
   */
  readonly heavy?: boolean;
}

export const DEFAULT_MAX_CHARS = 256 * 1024;
const MAX_NEGATIVE_TTL_MS = 10 * MINUTE;
/** Entries live up to a tenth shorter than declared, so that entries filled together do not expire together. */
const JITTER = 0.1;

/** @throws CacheError POLICY, naming the policy, the field and what was expected. */
export function checkPolicy(policy: Policy<never>): void {
  const refuse = (field: string, expected: string, got: unknown) => {
    throw new CacheError('POLICY', `policy ${policy.name || '(unnamed)'}: ${field} must be ${expected}, not ${got}`);
  };
  if (!/^[A-Za-z_][\w.]*$/.test(policy.name)) refuse('name', 'a dotted name', JSON.stringify(policy.name));
  if (!policy.shape) refuse('shape', 'a non-empty text', JSON.stringify(policy.shape));
  for (const field of ['ttlMs', 'negativeTtlMs', 'maxChars'] as const) {
    const value = policy[field];
    if (value === undefined && field !== 'ttlMs') continue;
    if (!Number.isFinite(value) || (value as number) < 1) refuse(field, 'a number of at least 1', value);
  }
  if (policy.staleMs !== undefined && !(Number.isFinite(policy.staleMs) && policy.staleMs >= 0)) {
    refuse('staleMs', 'a number of at least 0', policy.staleMs);
  }
  if ((policy.staleMs ?? 0) > 0 && policy.timeDependent !== true) {
    refuse('staleMs', 'absent unless timeDependent is true, since writes invalidate exactly', policy.staleMs);
  }
  if (policy.scope !== 'public' && policy.scope !== 'viewer') refuse('scope', "'public' or 'viewer'", policy.scope);
  if (typeof policy.tags !== 'function') refuse('tags', 'a function of the arguments', typeof policy.tags);
}

/** The time to live of one entry. `random` is in [0, 1). */
export function entryTtlMs(policy: Policy<never>, value: unknown, random: number): number {
  const declared =
    value === null || value === undefined
      ? (policy.negativeTtlMs ?? Math.min(policy.ttlMs, MAX_NEGATIVE_TTL_MS))
      : policy.ttlMs;
  return Math.max(1, Math.floor(declared * (1 - JITTER * random)));
}
