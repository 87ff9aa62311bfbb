/** What should never or rarely happen, counted from the start of this process, whether somebody watches or not. */
import type { CacheEvents, GroupHead } from '../../engine/cache/index.js';
import type { FenceEvents, RelayEvents } from '../../engine/postgres/index.js';
import type { HealthTotals, RelaySample } from './sample.js';

/** The groups of the store as the relay of this process found them last. */
export interface SeenGroups {
  readonly heads: readonly GroupHead[];
  /** By `performance.now()`. */
  readonly atMs: number;
}

type Counts = { -readonly [K in keyof HealthTotals]: number };

/** The events that are counted here. */
export type HealthEvents = Pick<Required<CacheEvents>, 'checked' | 'storeFailed' | 'unfenced'> &
  Pick<Required<RelayEvents>, 'ticked' | 'forced' | 'purged'> &
  Required<FenceEvents>;
export const RELAY_EVENTS = ['ticked', 'forced', 'purged', 'old'] as const;

export class ProcessHealth {
  readonly #counts: Counts = {
    ...{ violations: 0, checks: 0, lateTicks: 0, unleasedMs: 0, oldFences: 0 },
    ...{ unfencedCommits: 0, forcedLeases: 0, purges: 0, storeFailures: 0 },
  };
  #relay: RelaySample = { appliedAtMs: undefined, lagTransactions: 0 };
  #groups: SeenGroups | undefined;
  readonly events: HealthEvents;

  /** @param onTick called after each tick of the relay that reached the store */
  constructor(onTick: (heads: readonly GroupHead[]) => void) {
    const counts = this.#counts;
    this.events = {
      checked: (result) => {
        counts.checks++;
        if (result === 'violation') counts.violations++;
      },
      storeFailed: () => counts.storeFailures++,
      unfenced: () => counts.unfencedCommits++,
      forced: () => counts.forcedLeases++,
      purged: () => counts.purges++,
      old: () => counts.oldFences++,
      ticked: ({ result, late, unleasedMs, heads, behind }) => {
        if (late) counts.lateTicks++;
        counts.unleasedMs += unleasedMs;
        this.#groups = { heads, atMs: performance.now() };
        if (result === 'applied') this.#relay = { appliedAtMs: Date.now(), lagTransactions: Number(behind ?? 0n) };
        onTick(heads);
      },
    };
  }

  get totals(): HealthTotals {
    return { ...this.#counts };
  }

  get relay(): RelaySample {
    return this.#relay;
  }

  /** Undefined: no tick yet. */
  get groups(): SeenGroups | undefined {
    return this.#groups;
  }
}
