/** The rounds of one contender as one figure each: medians, but sums of what is counted. */

import type { CellName } from './cells.js';
import type { Cell, Turn } from './measure.js';
import { median } from './tally.js';

const MEDIANS = ['perSecond', 'p50', 'p99', 'cpuMs', 'sql', 'redis', 'rssMiB', 'busy'] as const;
const SUMS = ['requests', 'reads', 'stale', 'errors'] as const;

export type CellSummary = Readonly<Record<(typeof MEDIANS)[number] | (typeof SUMS)[number], number>>;
export type Cells = Readonly<Partial<Record<CellName, CellSummary>>>;

export interface Summary {
  readonly cells: Cells;
  /** Answers about what had been written to that differed from Postgres when all was at rest. */
  readonly atRest: { readonly checked: number; readonly stale: number };
  /** Of reads in the mixed cells, those that showed less than was acknowledged before they were sent. */
  readonly stalePerMillion: number | undefined;
}

export function summaryOf(turns: readonly Turn[]): Summary {
  const names = [...new Set(turns.flatMap(({ cells }) => Object.keys(cells) as CellName[]))];
  const cells = Object.fromEntries(
    names.map((name) => [name, cellSummary(turns.flatMap((turn) => turn.cells[name] ?? []))]),
  ) as Cells;
  const watched = Object.entries(cells).filter(([name]) => name.startsWith('mixed'));
  const sum = (of: (cell: CellSummary) => number) => watched.reduce((total, [, cell]) => total + of(cell), 0);
  const reads = sum((cell) => cell.reads);
  return {
    cells,
    atRest: {
      checked: turns.reduce((total, { atRest }) => total + atRest.checked, 0),
      stale: turns.reduce((total, { atRest }) => total + atRest.stale, 0),
    },
    stalePerMillion: reads === 0 ? undefined : (1e6 * sum((cell) => cell.stale)) / reads,
  };
}

export function cellSummary(rounds: readonly Cell[]): CellSummary {
  const of = (names: readonly (keyof Cell)[], by: (values: readonly number[]) => number) =>
    names.map((name) => [name, by(rounds.map((cell) => cell[name] as number))]);
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  return Object.fromEntries([...of(MEDIANS, median), ...of(SUMS, total)]) as CellSummary;
}
