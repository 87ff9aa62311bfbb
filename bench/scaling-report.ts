/** The tables of docs/scaling.md, as Markdown. */
import { modelCosts } from './scaling-costs.js';
import { checks, costsOfLogServer, type Fleet, processesAtFull, simulateFleet } from './scaling-fleet.js';
import type { RedisCosts, ScalingResults } from './scaling-results.js';

export const TABLE_NAMES = ['machine', 'steps', 'entries', 'loads', 'fleets', 'full'] as const;
export type Tables = Readonly<Record<(typeof TABLE_NAMES)[number], string>>;

const FLEETS: readonly Fleet[] = [10, 100, 1000].flatMap((processes) =>
  [100, 200].flatMap((ratePerProcess) => [
    { processes, ratePerProcess, kind: 'hits' as const, sticky: false },
    { processes, ratePerProcess, kind: 'mixed' as const, sticky: false },
    { processes, ratePerProcess, kind: 'mixed' as const, sticky: true },
  ]),
);
const FULL = [
  { ratePerProcess: 100, kind: 'hits' as const, sticky: false },
  { ratePerProcess: 400, kind: 'hits' as const, sticky: false },
  { ratePerProcess: 2000, kind: 'hits' as const, sticky: false },
  { ratePerProcess: 100, kind: 'mixed' as const, sticky: false },
  { ratePerProcess: 200, kind: 'mixed' as const, sticky: false },
  { ratePerProcess: 200, kind: 'mixed' as const, sticky: true },
];

export function tablesOf(results: ScalingResults): Tables {
  return { ...measuredTablesOf(results), fleets: fleetsTable(results), full: fullTable(results) };
}

/** Those that no large fleet is simulated for. */
export function measuredTablesOf(results: ScalingResults): Omit<Tables, 'fleets' | 'full'> {
  return {
    machine: machineLine(results),
    steps: stepsTable(results.redis),
    entries: entriesTable(results.redis),
    loads: loadsTable(results),
  };
}

export const marked = (name: string): RegExp => new RegExp(`<!-- ${name} -->\\n[\\s\\S]*?<!-- /${name} -->`);

export const blockOf = (name: string, table: string): string => `<!-- ${name} -->\n${table}\n<!-- /${name} -->`;

function table(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(columns), `|---|${'--:|'.repeat(columns.length - 1)}`, ...rows.map(line)].join('\n');
}

const whole = (value: number) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
const digits = (value: number, count: number) => value.toFixed(count);
const percent = (share: number) => `${share < 0.1 ? digits(share * 100, 1) : whole(share * 100)} %`;
const twoDigits = (value: number) => whole(Number(value.toPrecision(2)));

function machineLine({ date, machine: { cpu, cores, redis } }: ScalingResults): string {
  return `Measured ${date}, Redis ${redis}, ${cores} cores (${cpu}).`;
}

function stepsTable({ steps }: RedisCosts): string {
  const columns = [
    'step',
    'Redis CPU, µs',
    'of that executing',
    'caller CPU, µs',
    'commands',
    'a full core, per second',
  ];
  return table(
    columns,
    Object.entries(steps).map(([name, { redisUs, executionUs, callerUs, commands }]) => [
      name,
      digits(redisUs, 1),
      digits(executionUs, 1),
      digits(callerUs, 0),
      digits(commands, 1),
      whole(Number((1e6 / redisUs).toPrecision(2))),
    ]),
  );
}

function entriesTable({ entries: { count, textChars, bytes, commands } }: RedisCosts): string {
  const calls = Object.entries(commands).map(([name, calls]) => [name.toUpperCase(), calls] as const);
  return table(
    ['1000 entries of tasks with labels', 'per entry'],
    [
      ['characters of the stored text', whole(textChars)],
      ['memory of entry and tokens, bytes', whole(bytes / count)],
      ...calls.map(([name, calls]) => [`${name}, those of scripts too`, digits(calls / count, 1)]),
    ],
  );
}

function loadsTable(results: ScalingResults): string {
  const columns = [
    'load',
    'processes',
    'requests/s',
    'sent at once',
    'log reads per request',
    'model',
    'Redis CPU',
    'model',
  ];
  return table(
    columns,
    checks(results).map(({ load: { kind, processes, rate, burst, logReadsPerRequest }, predicted, redisBusy }) => [
      kind,
      processes,
      whole(rate),
      digits(burst, 1),
      digits(logReadsPerRequest, 2),
      digits(predicted.logReadsPerRequest, 2),
      percent(redisBusy),
      percent(predicted.redisBusy),
    ]),
  );
}

const named = ({ kind, sticky }: Pick<Fleet, 'kind' | 'sticky'>) => `${kind}${sticky ? ', by key' : ''}`;

function fleetsTable({ redis, loads }: ScalingResults): string {
  const costs = modelCosts(redis, loads);
  const log = costsOfLogServer(costs, redis);
  const columns = [
    'load',
    'processes',
    'requests/s of each',
    'kept answers',
    'log reads per request',
    'log reads/s',
    'demand on one server',
    'demand on the log server of a Cluster',
    'CPU of a process',
  ];
  return table(
    columns,
    FLEETS.map((fleet) => {
      const one = simulateFleet(fleet, costs);
      const { redisDemand } = simulateFleet(fleet, log);
      return [
        named(fleet),
        whole(fleet.processes),
        whole(fleet.ratePerProcess),
        percent(one.keptShare),
        digits(one.logReadsPerRequest, 2),
        twoDigits(one.logReadsPerSecond),
        percent(one.redisDemand),
        percent(redisDemand),
        percent(one.processBusy),
      ];
    }),
  );
}

function fullTable({ redis, loads }: ScalingResults): string {
  const costs = modelCosts(redis, loads);
  const log = costsOfLogServer(costs, redis);
  return table(
    [
      'load',
      'requests/s of each process',
      'one server: processes',
      'requests/s',
      'log server of a Cluster: processes',
      'requests/s',
    ],
    FULL.map((fleet) => {
      const full = [costs, log].map((of) => processesAtFull(fleet, of));
      return [
        named(fleet),
        whole(fleet.ratePerProcess),
        ...full.flatMap((processes) => [twoDigits(processes), twoDigits(processes * fleet.ratePerProcess)]),
      ];
    }),
  );
}
