/** Runs loads in their slots. */
import type { Call } from './call.js';
import { CacheError } from './errors.js';
import type { CacheEvents } from './events.js';
import type { LoadQueue, LoadTurn } from './load-queue.js';
import type { Bring, Policy, Source } from './policy.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

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
}

export class LoadRunner {
  constructor(
    private readonly options: {
      readonly queue: LoadQueue;
      readonly wrapLoad: WrapLoad | undefined;
      readonly events: CacheEvents;
      readonly clock: Clock;
    },
  ) {}

  /** LOAD: waits for a slot, then calls `starting`. @throws CacheError LOAD_SHAPE; what the load throws */
  run<A, V>(
    source: Source<A, V>,
    calls: readonly Call<A>[],
    { turn, starting, signal, bring }: RunOptions,
  ): Promise<V[]> {
    const { queue, wrapLoad, events, clock } = this.options;
    const load = (taking: Bring | undefined) =>
      source.load(
        calls.map(({ arg }) => arg),
        signal,
        taking,
      );
    return queue.run(
      async () => {
        const startedMs = clock.monotonicMs();
        let values: readonly V[];
        try {
          values = await (wrapLoad === undefined ? load(bring) : wrapped(wrapLoad, source, calls, { load, bring }));
        } finally {
          events.loaded?.({ name: source.name, ms: clock.monotonicMs() - startedMs });
        }
        if (values.length !== calls.length) {
          throw new CacheError(
            'LOAD_SHAPE',
            `${source.name}: ${calls.length} values expected, ${values.length} loaded`,
          );
        }
        return [...values];
      },
      { turn, starting, signal, reentrant: source.reentrant !== false },
    );
  }
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
