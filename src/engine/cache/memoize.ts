/**
 * `memoize`: any expensive function behind the cache. Besides the row-sets that its policy names, every result carries two tags
 * of its own, the function's and the call's: so it can be invalidated as exactly as a row.
 */

import { canonical, digest } from './key.js';
import { checkPolicy, type Policy } from './policy.js';
import { abortable } from './shared-abort.js';
import type { Store } from './store.js';
import { rowSetTag, type Tag } from './tag.js';

export type MemoizePolicy<Args extends unknown[]> = Omit<Policy<Args>, 'name' | 'tags' | 'scope' | 'shape' | 'key'> & {
  /** The row-sets that the function reads. Default none. */
  readonly tags?: (...args: Args) => readonly Tag[];
  /** Raise it when the function or the form of its results changes. Default 1. */
  readonly version?: number;
};

export interface Memoized<Args extends unknown[], R> {
  (...args: Args): Promise<Awaited<R>>;
  /**
   * Voids what is kept for these arguments; without arguments, for a function that takes some, all results. When it has
   * resolved, no process serves what was computed before it was called.
   * @throws CacheError STORE_UNAVAILABLE: nothing may have been invalidated
   */
  invalidate(...args: Args | []): Promise<void>;
}

/** The part of the cache that memoized functions use. */
interface PolicyCache {
  readonly store: Pick<Store, 'invalidate'>;
  read<A, V>(policy: Policy<A>, arg: A, load: () => Promise<V>): Promise<V>;
}

/** Those who wait for one call: its run ends when all of them have gone. */
interface Waiters {
  count: number;
  readonly gone: AbortController;
}

export function memoized<Args extends unknown[], R>(
  cache: PolicyCache,
  name: string,
  fn: (...args: Args) => R,
  { tags, version = 1, ...rest }: MemoizePolicy<Args>,
): Memoized<Args, R> {
  const tagOfAll = rowSetTag('memoized', ['name'], [name]);
  const tagOfCall = (args: unknown) => rowSetTag('memoized', ['name', 'call'], [name, digest(canonical(args))]);
  const policy: Policy<Args> = {
    ...rest,
    name,
    shape: String(version),
    scope: 'public',
    key: withoutSignals,
    tags: (args) => [...(tags?.(...args) ?? []), tagOfAll, tagOfCall(withoutSignals(args))],
  };
  checkPolicy(policy);
  /** Bounded by the calls under way. */
  const waiting = new Map<string, Waiters>();

  async function call(...args: Args): Promise<Awaited<R>> {
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
        // Joined a run in the moment in which its last caller left: this caller has not, so it runs again.
        if (!waiters.gone.signal.aborted || signal?.aborted) throw error;
      } finally {
        waiters.count--;
        if (waiters.count === 0) {
          if (waiting.get(named) === waiters) waiting.delete(named);
          waiters.gone.abort();
        }
      }
    }
  }

  return Object.assign(call, {
    invalidate: (...args: Args | []) =>
      cache.store.invalidate([args.length === 0 && fn.length > 0 ? tagOfAll : tagOfCall(withoutSignals(args))]),
  });
}

/** An AbortSignal says for how long its caller waits, not what is asked for. */
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
