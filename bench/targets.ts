/** What this server is to reach, as ratios of figures measured in the same run. */
import type { ContenderName } from './contender.js';
import type { GrowthRow } from './growth.js';
import type { CellName } from './measure.js';
import type { CellSummary, Summary } from './summary.js';
import type { WriteCost } from './write-cost.js';

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
  readonly writeCost: WriteCost | undefined;
  readonly growth: readonly GrowthRow[];
}

export type Verdict = 'goal' | 'ok' | 'NOT';

export function verdictOf({ bound, floor, goal, value }: Target): Verdict {
  const holds = (limit: number) => (bound === 'most' ? value <= limit : value >= limit);
  if (!holds(floor)) return 'NOT';
  return goal === undefined || !holds(goal) ? 'ok' : 'goal';
}

/** A table a hundred times as large may cost a request this much more: what two runs of one thing differ by. */
const FLAT = 1.25;

/** Those whose cells were measured. */
export function targetsOf({ summaries, writeCost, growth }: Figures): Target[] {
  const cell = (name: ContenderName, of: CellName): CellSummary | undefined => summaries[name]?.cells[of];
  const cpu = (name: ContenderName, of: CellName) => cell(name, of)?.cpuMs;
  const targets: Target[] = [];
  const ratio = (
    target: Pick<Target, 'what' | 'bound' | 'floor' | 'goal'>,
    over: number | undefined,
    under: number | undefined,
  ) => {
    if (over === undefined || under === undefined) return;
    targets.push({
      ...target,
      value: over / under,
      unit: '×',
      detail: `${over.toFixed(3)} / ${under.toFixed(3)} ms CPU`,
    });
  };
  const most = { bound: 'most', floor: 3, goal: 1.2 } as const;
  ratio(
    { ...most, what: 'Q1, hits alone: CPU against node:http + one GET' },
    cpu('tasks-api', 'Q1 hits'),
    cpu('limit-redis', 'Q1 hits'),
  );
  ratio(
    { ...most, what: 'Q2, hits alone: CPU against node:http + one GET' },
    cpu('tasks-api', 'Q2 hits'),
    cpu('limit-redis', 'Q2 hits'),
  );
  ratio(
    { ...most, what: 'Q1, 96 % hits: CPU against node:http + one GET' },
    cpu('tasks-api', 'Q1'),
    cpu('limit-redis', 'Q1'),
  );
  ratio(
    { ...most, what: 'Q2, 96 % hits: CPU against node:http + one GET' },
    cpu('tasks-api', 'Q2'),
    cpu('limit-redis', 'Q2'),
  );
  ratio(
    { what: 'Q2, 96 % hits: times cheaper than without cache', bound: 'least', floor: 15, goal: 30 },
    cpu('tasks-api-uncached', 'Q2'),
    cpu('tasks-api', 'Q2'),
  );
  ratio(
    { what: 'mixed, 5 % writes: times cheaper than without cache', bound: 'least', floor: 5, goal: 10 },
    cpu('tasks-api-uncached', 'mixed'),
    cpu('tasks-api', 'mixed'),
  );
  const peers = [cpu('yoga', 'mixed'), cpu('mercurius', 'mixed')].filter((ms) => ms !== undefined);
  ratio(
    { what: 'mixed: times cheaper than the best that invalidates', bound: 'least', floor: 2, goal: 5 },
    peers.length === 0 ? undefined : Math.min(...peers),
    cpu('tasks-api', 'mixed'),
  );

  const mixed = cell('tasks-api', 'mixed');
  const writes = cell('tasks-api', 'writes');
  if (mixed !== undefined) {
    const uncached = cell('tasks-api-uncached', 'mixed');
    targets.push(
      {
        ...{
          what: 'mixed: Redis commands per request',
          bound: 'most',
          floor: 1,
          goal: 0.3,
          value: mixed.redis,
          unit: '',
        },
        detail: writes
          ? `a write takes ${writes.redis.toFixed(1)}, those of scripts counted`
          : 'those of scripts counted',
      },
      {
        ...{
          what: 'mixed: SQL statements per request',
          bound: 'most',
          floor: 0.2,
          goal: 0.1,
          value: mixed.sql,
          unit: '',
        },
        detail: [
          writes &&
            `a write takes ${writes.sql.toFixed(1)}, which alone is ${(writes.sql * 0.05).toFixed(2)} per request`,
          uncached && `without cache ${uncached.sql.toFixed(2)}`,
        ]
          .filter(Boolean)
          .join('; '),
      },
    );
  }

  for (const [what, ours, of] of [
    ['uncached reads', 'tasks-api-uncached', ['Q1', 'Q2', 'Q3']],
    ['cold reads', 'tasks-api', ['Q1 cold', 'Q2 cold']],
  ] as const) {
    for (const measure of ['cpuMs', 'p50'] as const) {
      const ratios = of.flatMap((name) => {
        const theirs = cell('apollo-plain', name);
        const own = cell(ours, name);
        return own && theirs ? [{ name, ratio: own[measure] / theirs[measure] }] : [];
      });
      if (ratios.length === 0) continue;
      targets.push({
        what: `${what}: ${measure === 'p50' ? 'median time' : 'CPU'} against Apollo + DataLoader`,
        bound: 'most',
        floor: 1,
        goal: undefined,
        value: Math.max(...ratios.map(({ ratio }) => ratio)),
        unit: '×',
        detail: ratios.map(({ name, ratio }) => `${name.replace(' cold', '')} ${ratio.toFixed(2)}`).join(', '),
      });
    }
  }
  if (writeCost !== undefined) {
    targets.push({
      what: 'a mutation’s fence, outbox and release, at the median',
      bound: 'most',
      floor: 1.5,
      goal: undefined,
      value: writeCost.addedMs,
      unit: ' ms',
      detail: `${writeCost.transactedMs.toFixed(2)} ms against ${writeCost.plainMs.toFixed(2)} ms plain, ${writeCost.writes} writes each`,
    });
  }
  const own = summaries['tasks-api'];
  if (own?.stalePerMillion !== undefined) {
    const watched = Object.entries(own.cells).filter(([name]) => /mixed|races/.test(name));
    const sum = (of: (one: CellSummary) => number) => watched.reduce((total, [, one]) => total + of(one), 0);
    targets.push({
      what: 'stale reads: under load, by 2 processes, in provoked races, at rest',
      bound: 'most',
      floor: 0,
      goal: 0,
      value: sum(({ stale }) => stale) + own.atRest.stale,
      unit: '',
      detail: `of ${sum(({ reads }) => reads)} reads under load and ${own.atRest.checked} at rest`,
    });
  }
  for (const [what, pattern] of [
    ['a hit', /process/],
    ['a cold read', /cold/],
  ] as const) {
    const worst = growthOf(growth, pattern).sort((a, b) => b.ratio - a.ratio)[0];
    if (worst === undefined) continue;
    targets.push({
      what: `CPU of ${what}, ${worst.to.toExponential(0)} against ${worst.from.toExponential(0)} tasks`,
      bound: 'most',
      floor: FLAT,
      goal: undefined,
      value: worst.ratio,
      unit: '×',
      detail: `at worst: ${worst.what}`,
    });
  }
  return targets;
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
