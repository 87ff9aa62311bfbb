/** A report as Markdown. */
import type { Report } from './bench.js';
import type { CellName } from './cells.js';
import { CONTENDERS } from './contender.js';
import type { CellSummary } from './summary.js';
import { headlineOf, type Target, verdictOf } from './targets.js';

export function markdownOf(report: Report): string {
  return [
    `# Benchmark`,
    describe(report),
    '## Cost',
    costTable(report),
    skippedLines(report),
    '## Other cells',
    otherCellsTable(report),
    writeCostLine(report),
    '## Time',
    `Closed loop, and the open one with ${report.settings.rate.toFixed(0)} arrivals a second for everybody.`,
    timeTable(report),
    '## Targets',
    targetTable(report.targets),
    'A thousand readers of one hot key on 4 processes, and at most 4 filling loads per invalidation: `npm run test:load` checks that.',
    ...(report.growth.length === 0 ? [] : ['## Growth', growthTable(report)]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

/** What the README shows: the ratio that matters, the costs, the missed targets by name. */
export function readmeBlock(report: Report): string {
  const chart = '![CPU per request of this server and of others](bench/results/bench.svg)';
  const notes = [missedTargets(report), skippedLines(report), describe(report)];
  return [headline(report), chart, costTable(report), ...notes].filter((part) => part !== '').join('\n\n');
}

function headline({ contenders }: Report): string {
  const target = headlineOf(contenders);
  if (target === undefined) return '';
  const { value, detail, floor, goal } = target;
  const times = value >= 1 ? `${value.toFixed(1)} times less CPU than` : `${(1 / value).toFixed(1)} times the CPU of`;
  return `**Under the mixed load a request takes ${times} Apollo + DataLoader without a cache** (${detail}; the floor is ${floor} times less, the goal ${goal}).`;
}

/** On which machine, when, how. */
export function describe({ date, machine, settings, minutes }: Report): string {
  const { cpu, cores, memoryGiB, system, node, postgres, redis, load } = machine;
  return `${date.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}, PostgreSQL ${postgres}, Redis ${redis}; medians of \
${settings.rounds} interleaved rounds, ${settings.seconds} s a cell, ${settings.tasks} tasks, seed ${settings.seed}; ${minutes.toFixed(0)} minutes, load \
before it ${load.toFixed(1)}.`;
}

const COLUMNS: readonly CellName[] = ['Q1', 'Q2', 'Q3', 'mixed'];
const OTHERS: readonly CellName[] = ['Q1 hits', 'Q2 hits', 'Q1 run', 'Q2 run', 'Q1 cold', 'Q2 cold', 'writes'];

/** With what each of them reached and should have reached. */
function missedTargets({ targets }: Report): string {
  const missed = targets.filter((target) => verdictOf(target) === 'NOT');
  const links = '([all of them](bench/results/bench.md#targets), [why](bench/README.md#why-targets-are-missed))';
  const lines = missed.map(
    (target) => `- ${target.what}: ${shown(target.value)}${target.unit}, expected ${limitsOf(target)[0]}`,
  );
  const count = `**${missed.length} of ${targets.length} targets are missed** ${links}${missed.length === 0 ? '.' : ':'}`;
  return [count, ...(lines.length === 0 ? [] : ['', ...lines])].join('\n');
}

/** Floor and goal. */
function limitsOf({ bound, floor, goal }: Target): [string, string] {
  const sign = bound === 'most' ? '≤' : '≥';
  return [`${sign} ${floor}`, goal === undefined ? '' : `${sign} ${goal}`];
}

/** Contenders that could not run, by reason. Empty: all ran. */
function skippedLines({ skipped }: Report): string {
  const reasons = [...new Set(skipped.map(({ why }) => why))];
  const titles = (reason: string) => skipped.filter(({ why }) => why === reason).map(({ title }) => title);
  return reasons.map((reason) => `Not measured: ${titles(reason).join('; ')} (${reason}).`).join('\n\n');
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

/** Cells that some contenders have. */
function otherCellsTable(report: Report): string {
  const rows = ofContenders(report, ({ title, cells }) => [
    title,
    ...OTHERS.map((name) => fixed(cells[name]?.cpuMs, 3)),
  ]);
  return table(
    ['CPU ms per request', ...OTHERS],
    rows.filter(([, ...cells]) => cells.some((cell) => cell !== '')),
  );
}

function writeCostLine({ writeCost }: Report): string {
  if (writeCost === undefined) return '';
  const { transactedMs, plainMs, writes } = writeCost;
  return `One write at a time: ${transactedMs.toFixed(2)} ms through the transactor, ${plainMs.toFixed(2)} ms in a plain transaction \
on tables without triggers; medians of ${writes} writes each.`;
}

function timeTable(report: Report): string {
  const rows = ofContenders(report, ({ title, cells }) => [
    title,
    ...COLUMNS.flatMap((name) => {
      const cell = cells[name];
      return [cell === undefined ? '' : grouped(cell.perSecond), latencyOf(cell)];
    }),
    latencyOf(cells['mixed, open loop']),
    fixed((cells.mixed?.busy ?? Number.NaN) * 100, 0),
  ]);
  const headers = COLUMNS.flatMap((name) => [`${name}/s`, `${name} p50 / p99 ms`]);
  return table(['', ...headers, 'open loop p50 / p99 ms', 'generator busy %'], rows);
}

function latencyOf(cell: CellSummary | undefined): string {
  return cell === undefined ? '' : `${fixed(cell.p50, 2)} / ${fixed(cell.p99, 1)}`;
}

export function targetTable(targets: readonly Target[]): string {
  const rows = targets.map((target) => {
    const { what, value, unit, detail } = target;
    return [what, verdictOf(target), `${shown(value)}${unit}`, ...limitsOf(target), detail];
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

/** In their order, those that were measured; below this server, the same by two processes. */
function ofContenders({ contenders }: Report, row: (one: Row) => string[]): string[][] {
  return CONTENDERS.flatMap(({ name }) => {
    const one = contenders[name];
    if (one === undefined) return [];
    const byTwo = name === 'tasks-api' ? one.cells['mixed, 2 processes'] : undefined;
    if (byTwo === undefined) return [row(one)];
    const atRest = { checked: 0, stale: 0 };
    const two = { title: `${one.title}, 2 processes`, cells: { mixed: byTwo }, atRest, stalePerMillion: undefined };
    return [row(one), row(two)];
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
