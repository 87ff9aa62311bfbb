/** A report as Markdown. */
import type { Report } from './bench.js';
import { CONTENDERS } from './contender.js';
import type { CellName } from './measure.js';
import { type Target, verdictOf } from './targets.js';

export function markdownOf(report: Report): string {
  return [
    `# Benchmark`,
    describe(report),
    '## Cost',
    costTable(report),
    '## Time',
    `Closed loop, and the open one with ${report.settings.rate.toFixed(0)} arrivals a second for everybody.`,
    timeTable(report),
    '## Targets',
    targetTable(report.targets),
    'A thousand readers of one hot key on 4 processes, and at most 4 filling loads per invalidation: `npm run test:load` checks that.',
    ...(report.growth.length === 0 ? [] : ['## Growth', growthTable(report)]),
    '',
  ].join('\n\n');
}

/** On which machine, when, how. */
export function describe({ date, machine, settings, minutes }: Report): string {
  const { cpu, cores, memoryGiB, system, node, postgres, redis, load } = machine;
  return `${date.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}, PostgreSQL ${postgres}, Redis ${redis}; medians of \
${settings.rounds} interleaved rounds, ${settings.seconds} s a cell, ${settings.tasks} tasks, seed ${settings.seed}; ${minutes.toFixed(0)} minutes, load \
before it ${load.toFixed(1)}.`;
}

const COLUMNS: readonly CellName[] = ['Q1', 'Q2', 'Q3', 'mixed'];

/** Shown beside the costs in the README, which lists no targets. */
export function missedTargets({ targets }: Report): string {
  const missed = targets.filter((target) => verdictOf(target) === 'NOT').length;
  return `**${missed} of ${targets.length} targets are missed** ([all of them](bench/results/bench.md#targets), \
[why](bench/README.md#why-targets-are-missed)).`;
}

/** What the README shows. */
export function costTable(report: Report): string {
  const rows = ofContenders(report, ({ title, cells, stalePerMillion, atRest }) => {
    const { mixed, 'races, 2 processes': races } = cells;
    return [
      title,
      ...COLUMNS.map((name) => fixed(cells[name]?.cpuMs, 3)),
      fixed(mixed?.sql, 2),
      fixed(mixed?.redis, 2),
      fixed(mixed?.rssMiB, 0),
      stalePerMillion === undefined || atRest.checked === 0 ? '' : grouped(stalePerMillion),
      races === undefined ? '' : `${grouped(races.stale)} of ${grouped(races.reads)}`,
      atRest.checked === 0 ? '' : `${grouped(atRest.stale)} of ${grouped(atRest.checked)}`,
    ];
  });
  return table(
    [
      'CPU ms per request',
      ...COLUMNS,
      'SQL',
      'Redis',
      'RSS MiB',
      'stale per million reads',
      'stale in races',
      'stale at rest',
    ],
    rows,
  );
}

function timeTable(report: Report): string {
  const rows = ofContenders(report, ({ title, cells }) => [
    title,
    ...COLUMNS.flatMap((name) => {
      const cell = cells[name];
      return cell === undefined ? ['', ''] : [grouped(cell.perSecond), `${fixed(cell.p50, 2)} / ${fixed(cell.p99, 1)}`];
    }),
    `${fixed(cells['mixed, open loop']?.p50, 2)} / ${fixed(cells['mixed, open loop']?.p99, 1)}`,
    fixed((cells.mixed?.busy ?? Number.NaN) * 100, 0),
  ]);
  const headers = COLUMNS.flatMap((name) => [`${name}/s`, `${name} p50 / p99 ms`]);
  return table(['', ...headers, 'open loop p50 / p99 ms', 'generator busy %'], rows);
}

export function targetTable(targets: readonly Target[]): string {
  const rows = targets.map((target) => {
    const { what, bound, floor, goal, value, unit, detail } = target;
    const sign = bound === 'most' ? '≤' : '≥';
    return [
      what,
      verdictOf(target),
      `${shown(value)}${unit}`,
      `${sign} ${floor}`,
      goal === undefined ? '' : `${sign} ${goal}`,
      detail,
    ];
  });
  return table(['target', '', 'value', 'floor', 'goal', 'of'], rows);
}

function growthTable({ growth }: Report): string {
  const sizes = [...new Set(growth.map(({ tasks }) => tasks))].sort((a, b) => a - b);
  const kinds = [...new Set(growth.map(({ what }) => what))];
  const rows = kinds.map((what) => [
    what,
    ...sizes.map((size) => {
      const cell = growth.find((row) => row.what === what && row.tasks === size)?.cell;
      return cell === undefined ? '' : `${fixed(cell.cpuMs, 3)} (${fixed(cell.p50, 2)} / ${fixed(cell.p99, 1)})`;
    }),
  ]);
  return `CPU ms per request (p50 / p99 ms), this server, by the size of the table.\n\n${table(['tasks', ...sizes.map(grouped)], rows)}`;
}

type Row = NonNullable<Report['contenders'][keyof Report['contenders']]>;

/** In their order, those that were measured. */
function ofContenders({ contenders }: Report, row: (one: Row) => string[]): string[][] {
  return CONTENDERS.flatMap(({ name }) => {
    const one = contenders[name];
    return one === undefined ? [] : [row(one)];
  });
}

function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = headers.map((_, i) => (i === 0 ? '---' : '--:'));
  return [line(headers), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}

export function fixed(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits);
}

function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

/** 12345.6 as 12 346. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
}
