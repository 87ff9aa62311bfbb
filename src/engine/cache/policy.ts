/** Policies: what a resolver method, a loader or a memoized function declares about its cached results. */

import { CacheError } from './errors.js';
import type { Tag } from './tag.js';
import { MINUTE } from './time.js';

export type Scope = 'public' | 'viewer';

export interface Policy<A> {
  /** Names the cached call in keys, traces and the table of policies: `Project.stats`, `User`. */
  readonly name: string;
  /** Names the form of the stored value; another form has another key, so old and new builds never read each other's. */
  readonly shape: string;
  /**
   * How long an entry may be served, in ms. For values that depend on the database alone this only bounds memory,
   * since writes invalidate exactly; for values that depend on the time it is their freshness.
   */
  readonly ttlMs: number;
  /**
   * The value depends on the time itself (overdue, the last 7 days, an outside service), so `ttlMs` is its freshness. Such a
   * value is not held against the database by the monitor.
   */
  readonly timeDependent?: boolean;
  /**
   * How long beyond `ttlMs` an entry may still be served while one process refreshes it. Only for values that depend on the
   * time: writes invalidate these too, at once. Default 0.
   */
  readonly staleMs?: number;
  /** The same for `null`, that is for what does not exist. Default: `ttlMs`, at most 10 minutes. */
  readonly negativeTtlMs?: number;
  /** Who may share an entry. Declared, never guessed. */
  readonly scope: Scope;
  /** The row-sets the value depends on: a pure function of the arguments, for it is part of what the key means. */
  readonly tags: (args: A) => readonly Tag[];
  /** What of the arguments tells one call from another, as a plain value. Default: all of them. */
  readonly key?: (args: A) => unknown;
  /** Larger entries are not stored. Characters; default 256 Ki. */
  readonly maxChars?: number;
}

/** A policy with the load that fills it, for many calls at once: one value for every argument, in their order. */
export interface Source<A, V> extends Policy<A> {
  /** `signal` aborts when nobody waits for the values any more. */
  readonly load: (args: readonly A[], signal: AbortSignal) => Promise<readonly V[]>;
  /** The load itself reads nothing through the cache: then nothing has to be followed while it runs, and it finds no `loadSignal`. */
  readonly leaf?: boolean;
  /** A load may keep the source busy for seconds: few of them run at once, so that the others find a slot. Only for leaves. */
  readonly heavy?: boolean;
}

export const DEFAULT_MAX_CHARS = 256 * 1024;
const MAX_NEGATIVE_TTL_MS = 10 * MINUTE;
/** Entries live up to a tenth shorter than declared, so that what was filled together does not expire together. */
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
