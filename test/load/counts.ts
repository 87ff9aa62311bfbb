/** Sums and differences of what the API processes counted. */
import type { Counts } from './api-options.js';

/** Of calls that ended so. */
export function countOf({ outcomes }: Pick<Counts, 'outcomes'>, pattern: RegExp): number {
  return Object.entries(outcomes).reduce((sum, [how, count]) => (pattern.test(how) ? sum + count : sum), 0);
}

export function sumOf(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number) => all.reduce((total, one) => total + of(one), 0);
  const max = (of: (counts: Counts) => number) => Math.max(...all.map(of));
  return {
    statements: sum(({ statements }) => statements),
    taskSelects: sum(({ taskSelects }) => taskSelects),
    outcomes: sumOfRecords(all.map(({ outcomes }) => outcomes)),
    unfenced: sum(({ unfenced }) => unfenced),
    loadsPeak: max(({ loadsPeak }) => loadsPeak),
    failures: sumOfRecords(all.map(({ failures }) => failures)),
    stallMs: max(({ stallMs }) => stallMs),
  };
}

/** What has come since, largest first: `name 12, other 3`. */
export function sinceText(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  pattern: RegExp,
): string {
  const changed = Object.entries(now).map(([name, count]) => [name.trim(), count - (before[name] ?? 0)] as const);
  const told = changed.filter(([name, count]) => count > 0 && pattern.test(name)).sort(([, a], [, b]) => b - a);
  return told.length === 0 ? 'none' : told.map(([name, count]) => `${name} ${count}`).join(', ');
}

function sumOfRecords(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of all) {
    for (const [name, count] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}
