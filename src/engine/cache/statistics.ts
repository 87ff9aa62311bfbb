/**
 * Counts of outcomes, added up for all processes in one hash per day: `<name> <outcome>` → count. A process that dies
 * loses the counts that it has not flushed; only reports use them.
 */

import type { Outcome, OutcomeKind } from './events.js';
import type { SharedValues } from './store.js';
import type { Clock } from './time.js';

export interface StatisticsLine {
  readonly name: string;
  readonly counts: Readonly<Partial<Record<OutcomeKind, number>>>;
}

export class Statistics {
  readonly #store: SharedValues;
  readonly #clock: Clock;
  #counts: OutcomeCounts = new Map();

  constructor(options: { store: SharedValues; clock: Clock }) {
    this.#store = options.store;
    this.#clock = options.clock;
  }

  note({ name, kind }: Pick<Outcome, 'name' | 'kind'>): void {
    count(this.#counts, name, kind);
  }

  /** Writes the counts to the store. If that fails, they are kept for the next time. */
  async flush(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = this.#counts;
    this.#counts = new Map();
    const fields = [...counts].flatMap(([name, kinds]) =>
      [...kinds].map(([kind, n]) => [`${name} ${kind}`, n] as const),
    );
    try {
      await this.#store.addCounters(dayOf(this.#clock.nowMs()), new Map(fields));
    } catch {
      for (const [name, kinds] of counts) {
        for (const [kind, n] of kinds) count(this.#counts, name, kind, n);
      }
    }
  }
}

/** By name and kind. Bounded by policies times kinds. */
type OutcomeCounts = Map<string, Map<string, number>>;

/** Runs for every cached call, so it builds no text. */
export function count(counts: OutcomeCounts, name: string, kind: string, n = 1): void {
  let kinds = counts.get(name);
  if (kinds === undefined) {
    kinds = new Map();
    counts.set(name, kinds);
  }
  kinds.set(kind, (kinds.get(kind) ?? 0) + n);
}

/** One day's statistics of all processes, by name. `day`: `2026-11-24`, in UTC. Kept for about a week. */
export async function statisticsOf(store: SharedValues, day: string): Promise<StatisticsLine[]> {
  const lines = new Map<string, Partial<Record<OutcomeKind, number>>>();
  for (const [field, count] of await store.readCounters(day)) {
    const [name = '', kind] = field.split(' ');
    lines.set(name, { ...lines.get(name), [kind as OutcomeKind]: count });
  }
  return [...lines].map(([name, counts]) => ({ name, counts })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
