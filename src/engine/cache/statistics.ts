/**
 * How cached calls ended, added up for all processes in one hash per day: `<name> <outcome>` → count. What a process has not
 * handed over when it dies is lost; nothing but people's curiosity depends on it.
 */

import type { Outcome, OutcomeKind } from './events.js';
import type { Store } from './store.js';
import type { Clock } from './time.js';

export interface StatisticsLine {
  readonly name: string;
  readonly counts: Readonly<Partial<Record<OutcomeKind, number>>>;
}

export class Statistics {
  readonly #store: Store;
  readonly #clock: Clock;
  #counts: OutcomeCounts = new Map();

  constructor(options: { store: Store; clock: Clock }) {
    this.#store = options.store;
    this.#clock = options.clock;
  }

  note({ name, kind }: Pick<Outcome, 'name' | 'kind'>): void {
    count(this.#counts, name, kind);
  }

  /** Hands over what was noted. What cannot be handed over now is kept for the next time. */
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

/** By name and kind. Bounded by the policies times the kinds of outcomes. */
type OutcomeCounts = Map<string, Map<string, number>>;

/** Called for every cached call: no text is made for it. */
export function count(counts: OutcomeCounts, name: string, kind: string, n = 1): void {
  let kinds = counts.get(name);
  if (kinds === undefined) {
    kinds = new Map();
    counts.set(name, kinds);
  }
  kinds.set(kind, (kinds.get(kind) ?? 0) + n);
}

/** A day's statistics of all processes, by name. `day`: `2026-11-24`, in UTC; kept for about a week. */
export async function statisticsOf(store: Store, day: string): Promise<StatisticsLine[]> {
  const lines = new Map<string, Partial<Record<OutcomeKind, number>>>();
  for (const [field, count] of await store.counts(day)) {
    const [name = '', kind] = field.split(' ');
    lines.set(name, { ...lines.get(name), [kind as OutcomeKind]: count });
  }
  return [...lines].map(([name, counts]) => ({ name, counts })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
