/** What this server is to reach, as ratios of figures measured in the same run. */
import type { CellName } from './cells.js';
import type { ContenderName } from './contender.js';
import type { GrowthRow } from './growth.js';
import type { CellSummary, Summary } from './summary.js';

export interface Target {
  readonly what: string;
  /** `at most` or `at least`. */
  readonly bound: 'most' | 'least';
  readonly floor: number;
  readonly goal: number | undefined;
  readonly value: number;
  readonly unit: string;
  /** What the value is made of. */
  readonly detail: string;
}

export interface Figures {
  readonly summaries: Readonly<Partial<Record<ContenderName, Summary>>>;
  readonly growth: readonly GrowthRow[];
}

export type Verdict = 'goal' | 'ok' | 'NOT';

export function verdictOf({ bound, floor, goal, value }: Target): Verdict {
  const holds = (limit: number) => (bound === 'most' ? value <= limit : value >= limit);
  if (!holds(floor)) return 'NOT';
  return goal === undefined || !holds(goal) ? 'ok' : 'goal';
}

/** A cell of one contender. */
type Figure = readonly [ContenderName, CellName];
type Bounds = Pick<Target, 'what' | 'bound' | 'floor' | 'goal'>;

/** The CPU of one cell divided by that of another; of several pairs the worst counts. */
interface CpuRatio extends Bounds {
  readonly pairs: readonly (readonly [over: Figure, under: Figure])[];
}

const API = 'tasks-api';
const APOLLO = 'apollo-plain';
const atMost = (floor: number, goal: number | undefined) => ({ bound: 'most', floor, goal }) as const;
const atLeast = (floor: number, goal: number | undefined) => ({ bound: 'least', floor, goal }) as const;

/** Both contenders in the same cell. */
const same = (over: ContenderName, under: ContenderName, cells: readonly CellName[]) =>
  cells.map((cell) => [[over, cell] as const, [under, cell] as const] as const);
const one = (over: Figure, under: Figure) => [[over, under]] as const;

/** The README begins with it. */
const HEADLINE: CpuRatio = {
  what: 'mixed: times cheaper than Apollo + DataLoader',
  ...atLeast(3, 5),
  pairs: same(APOLLO, API, ['mixed']),
};

const RATIOS: readonly CpuRatio[] = [
  {
    what: 'Q1 run against Q1 of Apollo + DataLoader',
    ...atMost(0.5, 0.35),
    pairs: one([API, 'Q1 run'], [APOLLO, 'Q1']),
  },
  {
    what: 'Q2 run against Q2 of Apollo + DataLoader',
    ...atMost(0.35, 0.2),
    pairs: one([API, 'Q2 run'], [APOLLO, 'Q2']),
  },
  {
    what: 'cold Q1 and Q2 against Apollo + DataLoader',
    ...atMost(1.5, 1.2),
    pairs: same(API, APOLLO, ['Q1 cold', 'Q2 cold']),
  },
  {
    what: 'uncached reads against Apollo + DataLoader',
    ...atMost(1.8, 1.3),
    pairs: same('tasks-api-uncached', APOLLO, ['Q1', 'Q2', 'Q3']),
  },
  {
    what: 'the engine’s tax: uncached reads against this API without the engine',
    ...atMost(1.15, 1.05),
    pairs: same('tasks-api-uncached', 'api-without-engine', ['Q1', 'Q2', 'Q3']),
  },
  { what: 'a write against Apollo + DataLoader', ...atMost(2, 1.5), pairs: same(API, APOLLO, ['writes']) },
  {
    what: 'hits alone against node:http + one GET',
    ...atMost(1.5, 1.2),
    pairs: same(API, 'limit-redis', ['Q1 hits', 'Q2 hits']),
  },
  {
    what: 'Q1 run against Q1 of PostGraphile',
    ...atMost(0.45, undefined),
    pairs: one([API, 'Q1 run'], ['postgraphile', 'Q1']),
  },
  {
    what: 'Q2 run against Q2 of PostGraphile',
    ...atMost(0.4, undefined),
    pairs: one([API, 'Q2 run'], ['postgraphile', 'Q2']),
  },
  {
    what: 'cold Q2 against PostGraphile',
    ...atMost(1.8, undefined),
    pairs: same(API, 'postgraphile', ['Q2 cold']),
  },
];

/** How much cheaper the mixed load is here than on Apollo + DataLoader. Undefined: not measured. */
export function headlineOf(summaries: Figures['summaries']): Target | undefined {
  return ratioOf(HEADLINE, summaries);
}

/** Those whose cells were measured. */
export function targetsOf({ summaries, growth }: Figures): Target[] {
  const api = summaries[API];
  return [
    headlineOf(summaries),
    ratioOf(againstBestPeer(summaries), summaries),
    ...RATIOS.map((ratio) => ratioOf(ratio, summaries)),
    ...(api === undefined ? [] : [...tripsOf(api.cells), staleOf(api)]),
    ...growthTargets(growth),
  ].filter((target) => target !== undefined);
}

function ratioOf({ pairs, ...bounds }: CpuRatio, summaries: Figures['summaries']): Target | undefined {
  const cpuOf = ([name, cell]: Figure) => summaries[name]?.cells[cell]?.cpuMs;
  const measured = pairs.flatMap(([over, under]) => {
    const [overMs, underMs] = [cpuOf(over), cpuOf(under)];
    if (overMs === undefined || underMs === undefined) return [];
    return [{ cell: under[1], ratio: overMs / underMs, text: `${overMs.toFixed(3)} / ${underMs.toFixed(3)} ms CPU` }];
  });
  const [first, ...others] = measured;
  if (first === undefined) return undefined;
  const ratios = measured.map(({ ratio }) => ratio);
  return {
    ...bounds,
    value: bounds.bound === 'most' ? Math.max(...ratios) : Math.min(...ratios),
    unit: '×',
    detail:
      others.length === 0 ? first.text : measured.map(({ cell, ratio }) => `${cell} ${ratio.toFixed(2)}`).join(', '),
  };
}

/** Against the cheapest of those that invalidate. */
function againstBestPeer(summaries: Figures['summaries']): CpuRatio {
  const cost = (name: ContenderName) => summaries[name]?.cells.mixed?.cpuMs ?? Number.POSITIVE_INFINITY;
  const best = cost('yoga') < cost('mercurius') ? 'yoga' : 'mercurius';
  return {
    what: 'mixed: times cheaper than the best other cache that invalidates',
    ...atLeast(1, 1.5),
    pairs: same(best, API, ['mixed']),
  };
}

/** Trips per request of the mixed load. */
function tripsOf({ mixed, writes }: Summary['cells']): Target[] {
  if (mixed === undefined) return [];
  const detail = (perWrite: number | undefined) =>
    perWrite === undefined
      ? ''
      : `a write takes ${perWrite.toFixed(1)}; the 5 % writes are ${(perWrite * 0.05).toFixed(2)} of it`;
  return [
    {
      what: 'mixed: Redis commands per request, those of scripts counted',
      ...atMost(1, 0.5),
      ...{ value: mixed.redis, unit: '', detail: detail(writes?.redis) },
    },
    {
      what: 'mixed: SQL statements per request',
      ...atMost(0.2, 0.15),
      ...{ value: mixed.sql, unit: '', detail: detail(writes?.sql) },
    },
  ];
}

function staleOf({ cells, atRest, stalePerMillion }: Summary): Target | undefined {
  if (stalePerMillion === undefined) return undefined;
  const watched = Object.entries(cells).filter(([name]) => /mixed|races/.test(name));
  const sum = (of: (cell: CellSummary) => number) => watched.reduce((total, [, cell]) => total + of(cell), 0);
  return {
    what: 'stale reads: under load, by 2 processes, in provoked races, at rest',
    ...atMost(0, 0),
    value: sum(({ stale }) => stale) + atRest.stale,
    unit: '',
    detail: `of ${sum(({ reads }) => reads)} reads under load and ${atRest.checked} at rest`,
  };
}

function growthTargets(growth: readonly GrowthRow[]): Target[] {
  const kinds = [
    ['a hit', /process/],
    ['a cold read', /cold/],
  ] as const;
  return kinds.flatMap(([what, pattern]) => {
    const worst = growthOf(growth, pattern).sort((a, b) => b.ratio - a.ratio)[0];
    if (worst === undefined) return [];
    const { from, to, ratio } = worst;
    return [
      {
        what: `CPU of ${what}, ${to.toExponential(0)} against ${from.toExponential(0)} tasks`,
        ...atMost(1.25, 1.1),
        ...{ value: ratio, unit: '×', detail: `at worst: ${worst.what}` },
      },
    ];
  });
}

/** By kind of request: what it costs on the largest table, in times of the smallest. */
function growthOf(growth: readonly GrowthRow[], pattern: RegExp) {
  const kinds = [...new Set(growth.map(({ what }) => what).filter((what) => pattern.test(what)))];
  return kinds.flatMap((what) => {
    const rows = growth.filter((row) => row.what === what).sort((a, b) => a.tasks - b.tasks);
    const [first, last] = [rows[0], rows.at(-1)];
    if (first === undefined || last === undefined || first === last) return [];
    return [{ what, from: first.tasks, to: last.tasks, ratio: last.cell.cpuMs / first.cell.cpuMs }];
  });
}
