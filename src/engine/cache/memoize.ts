/**
 * `memoize` puts any expensive function behind the cache. Beside the row sets of its policy, every result carries two
 * tags of its own, the function's and the call's, so it can be invalidated as exactly as a row.
 */

import { canonical, digest } from './key.js';
import { checkPolicy, type Policy } from './policy.js';
import { abortable } from './shared-abort.js';
import type { EntryStore } from './store.js';
import { rowSetTag, type Tag } from './tag.js';

export type MemoizePolicy<Args extends unknown[]> = Omit<Policy<Args>, 'name' | 'tags' | 'scope' | 'shape' | 'key'> & {
  /** The row sets that the function reads. Default none. */
  readonly tags?: (...args: Args) => readonly Tag[];
  /** Raise it when the function or the form of its results changes. Default 1. */
  readonly version?: number;
};

export interface Memoized<Args extends unknown[], R> {
  (...args: Args): Promise<Awaited<R>>;
  /**
   * Voids the results for these arguments; without arguments, for a function that takes some, all results. Once it has
   * resolved, no process serves a result that was computed before the call.
   * @throws CacheError STORE_UNAVAILABLE: perhaps nothing was invalidated
   */
  invalidate(...args: Args | []): Promise<void>;
}

/** The part of the cache that memoized functions use. */
interface PolicyCache {
  readonly store: Pick<EntryStore, 'invalidate'>;
  read<A, V>(policy: Policy<A>, arg: A, load: () => Promise<V>): Promise<V>;
}

/** The callers that wait for one call. Its run ends when all have left. */
interface Waiters {
  count: number;
  readonly gone: AbortController;
}

export function memoized<Args extends unknown[], R>(
  cache: PolicyCache,
  name: string,
  fn: (...args: Args) => R,
  options: MemoizePolicy<Args>,
): Memoized<Args, R> {
  const tagOfAll = rowSetTag('memoized', ['name'], [name]);
  const tagOfCall = (args: unknown) => rowSetTag('memoized', ['name', 'call'], [name, digest(canonical(args))]);
  const { tags, version = 1, ...rest } = options;
  const policy: Policy<Args> = {
    ...rest,
    name,
    shape: String(version),
    scope: 'public',
    key: withoutSignals,
    tags: (args) => [...(tags?.(...args) ?? []), tagOfAll, tagOfCall(withoutSignals(args))],
  };
  checkPolicy(policy);
  return Object.assign(cachedCalls(cache, policy, fn), {
    invalidate: (...args: Args | []) =>
      cache.store.invalidate([args.length === 0 && fn.length > 0 ? tagOfAll : tagOfCall(withoutSignals(args))]),
  });
}

/** `fn` read through the cache. Concurrent equal calls share a run, which ends when all their callers have left. */
function cachedCalls<Args extends unknown[], R>(
  cache: PolicyCache,
  policy: Policy<Args>,
  fn: (...args: Args) => R,
): (...args: Args) => Promise<Awaited<R>> {
  /** Bounded by the calls in progress. */
  const waiting = new Map<string, Waiters>();

  return async function call(...args: Args): Promise<Awaited<R>> {
    const signal = signalOf(args);
    signal?.throwIfAborted();
    const named = canonical(withoutSignals(args));
    for (;;) {
      const waiters = waiting.get(named) ?? { count: 0, gone: new AbortController() };
      waiting.set(named, waiters);
      waiters.count++;
      const run = cache.read(policy, args, async () => fn(...withSignal(args, waiters.gone.signal)));
      try {
        return (await abortable(run, signal)) as Awaited<R>;
      } catch (error) {
        // Joined a run just as its last caller left. This caller has not left, so it runs again.
        if (!waiters.gone.signal.aborted || signal?.aborted) throw error;
      } finally {
        waiters.count--;
        if (waiters.count === 0) {
          if (waiting.get(named) === waiters) waiting.delete(named);
          waiters.gone.abort();
        }
      }
    }
  };
}

/** An AbortSignal bounds its caller's wait; it does not identify the call. */
function withoutSignals(args: readonly unknown[]): unknown[] {
  return mapSignals(args, () => undefined);
}

function withSignal<Args extends readonly unknown[]>(args: Args, signal: AbortSignal): Args {
  return mapSignals(args, () => signal) as unknown as Args;
}

function signalOf(args: readonly unknown[]): AbortSignal | undefined {
  let found: AbortSignal | undefined;
  mapSignals(args, (signal) => {
    found ??= signal;
    return signal;
  });
  return found;
}

function mapSignals(args: readonly unknown[], map: (signal: AbortSignal) => AbortSignal | undefined): unknown[] {
  return args.flatMap((arg) => {
    if (arg instanceof AbortSignal) return map(arg) ?? [];
    if (!hasSignal(arg)) return [arg];
    const { signal, ...rest } = arg;
    const mapped = map(signal);
    return [mapped === undefined ? rest : { ...rest, signal: mapped }];
  });
}

function hasSignal(arg: unknown): arg is { signal: AbortSignal } {
  return typeof arg === 'object' && arg !== null && 'signal' in arg && arg.signal instanceof AbortSignal;
}
