/** Runs loads in their slots. */
import type { Call } from './call.js';
import { CacheError } from './errors.js';
import type { LoadQueue, LoadTurn } from './load-queue.js';
import type { Bring, Policy, Source } from './policy.js';
import { inSpan, type Span, type SpanDescription } from './spans.js';
import type { Tag } from './tag.js';

/** A load as `wrapLoad` sees it. */
export interface DescribedLoad {
  readonly name: string;
  readonly tags: readonly Tag[];
  /** The tags of what the load has brought along so far. */
  readonly brought: readonly Tag[];
}

/** See `CacheOptions.wrapLoad`. */
export type WrapLoad = <T>(load: DescribedLoad, run: () => Promise<T>) => Promise<T>;

interface RunOptions {
  readonly turn: LoadTurn;
  /** Called when the load has its slot. */
  readonly starting: () => void;
  /** Aborts when the last caller has left. */
  readonly signal: AbortSignal;
  /** Absent: the load brings nothing along. */
  readonly bring?: Bring | undefined;
  /** Called when the load begins, if it is recorded. */
  readonly recorded?: (span: Span) => void;
}

export class LoadRunner {
  constructor(
    private readonly queue: LoadQueue,
    private readonly wrapLoad: WrapLoad | undefined,
  ) {}

  /** LOAD: waits for a slot, then calls `starting`. @throws CacheError LOAD_SHAPE; what the load throws */
  run<A, V>(
    source: Source<A, V>,
    calls: readonly Call<A>[],
    { turn, starting, signal, bring, recorded }: RunOptions,
  ): Promise<V[]> {
    const { wrapLoad } = this;
    const askedMs = performance.now();
    const load = (taking: Bring | undefined) =>
      source.load(
        calls.map(({ arg }) => arg),
        signal,
        taking,
      );
    const run = async (span?: Span) => {
      if (span !== undefined) recorded?.(span);
      const values = await (wrapLoad === undefined ? load(bring) : wrapped(wrapLoad, source, calls, { load, bring }));
      if (values.length !== calls.length) {
        throw new CacheError('LOAD_SHAPE', `${source.name}: ${calls.length} values expected, ${values.length} loaded`);
      }
      return [...values];
    };
    const reentrant = source.reentrant !== false;
    return this.queue.run(() => inSpan(() => loadSpan(source, calls.length, performance.now() - askedMs), run), {
      turn,
      starting,
      signal,
      reentrant,
    });
  }
}

function loadSpan({ name }: Policy<never>, values: number, waitedMs: number): SpanDescription {
  const attributes = { 'cache.policy': name, 'cache.load.values': values, 'cache.load.waited_ms': waitedMs };
  return { name: `load ${name}`, attributes };
}

function wrapped<V>(
  wrapLoad: WrapLoad,
  { name }: Policy<never>,
  calls: readonly Call<unknown>[],
  { load, bring }: { load: (bring: Bring | undefined) => Promise<V>; bring: Bring | undefined },
): Promise<V> {
  const brought: Tag[] = [];
  const noting: Bring | undefined =
    bring &&
    ((policy, arg, value) => {
      brought.push(...policy.tags(arg));
      bring(policy, arg, value);
    });
  return wrapLoad({ name, tags: [...new Set(calls.flatMap(({ tags }) => tags))], brought }, () => load(noting));
}
