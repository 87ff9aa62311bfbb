/** What a read of cached calls is given, and what it may be served. */
import type { Entry } from './entry.js';
import type { Outcome, OutcomeKind } from './events.js';
import { insideLoad } from './load-queue.js';
import type { LogCursor } from './log-cursor.js';
import type { NearEntry } from './near-cache.js';
import type { Source } from './policy.js';
import type { ReadSet } from './read-set.js';
import type { Attributes, SpanDescription } from './spans.js';
import type { Tag } from './tag.js';

export interface ReadOptions {
  /**
   * The viewer: part of the key if the policy's scope is `viewer`, and the one whose share of the loads the misses
   * take.
   */
  readonly viewer?: string | undefined;
  /** The request's read set, from `Cache.readSet()`. */
  readonly readSet?: ReadSet | undefined;
  /**
   * When it aborts, a read that has to load ends with its reason. A load that no other caller waits for is abandoned; its
   * source sees this by `loadSignal`. Inside a load, that load's own signal counts instead.
   */
  readonly signal?: AbortSignal | undefined;
}

/** A value that memory served without a log read of its own, and what an answer that shows it depends on. */
export interface Peeked<V> {
  readonly value: V;
  readonly tags: readonly Tag[];
  readonly since: LogCursor;
  readonly untilMs: number;
}

/** One `readMany` in progress. */
export interface Reading<A, V> {
  readonly source: Source<A, V>;
  readonly readSet: ReadSet | undefined;
  readonly viewer: string | undefined;
  /** Inside a load its signal is the load's. */
  readonly caller: Pick<ReadOptions, 'signal'>;
  readonly values: V[];
  readonly trips: number[];
  readonly startedMs: number;
  /** How the calls ended. Absent where nothing is recorded. */
  readonly counts: Map<OutcomeKind, number> | undefined;
}

export function readSpan({ source: { name }, values: { length } }: Reading<never, unknown>): SpanDescription {
  return { name: `cache read ${name}`, attributes: { 'cache.policy': name, 'cache.calls': length } };
}

/** `cache.outcome.near_hit` and others, for the span of a read. */
export function outcomeAttributes({ counts = new Map() }: Reading<never, unknown>): Attributes {
  return Object.fromEntries([...counts].map(([kind, count]) => [`cache.outcome.${kind.replace('-', '_')}`, count]));
}

/** What an outcome tells of the entry that was served. */
export type Served = Pick<Outcome, 'ageMs' | 'ttlLeftMs' | 'chars'>;

/** A snapshot shows one moment, and a live query never an older one, so they take no stale value. */
export function mayServeStale<A, V>({ source, readSet }: Reading<A, V>, { ageMs, ttlMs }: Entry): boolean {
  if (readSet?.snapshot === true || readSet?.live === true) return false;
  return ageMs < ttlMs + (source.staleMs ?? 0);
}

/** A snapshot validates what it was given by its stamps. */
export function mayServeCopy({ stamps }: NearEntry, readSet: ReadSet | undefined): boolean {
  return stamps !== undefined || readSet?.snapshot !== true;
}

/** Whether the load of a miss may bring values along, for this request to find in memory. */
export function bringsAlong<A, V>({ source, readSet }: Reading<A, V>): boolean {
  return source.brings === true && readSet !== undefined && !readSet.snapshot && !insideLoad();
}
