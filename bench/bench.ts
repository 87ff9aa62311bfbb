/** A whole run: rounds in which the contenders take their turns, one after the other, in an order that rotates; then what they come to. */
import os from 'node:os';
import { type CellName, cellsOf } from './cells.js';
import { CONTENDERS, type Contender, type ContenderName, contender, type TablesName } from './contender.js';
import { memberId, TASKS_PER_PROJECT } from './dataset.js';
import { type GrowthRow, measureGrowth } from './growth.js';
import { measureTurn, type Turn, within } from './measure.js';
import { titleOf, whyMissing } from './nodes.js';
import { type Summary, summaryOf } from './summary.js';
import { type Target, targetsOf } from './targets.js';
import type { Operation, ReadKind } from './workload.js';
import { startWorld, type Tasks, type World } from './world.js';
import { measureWriteCost, type WriteCost } from './write-cost.js';

export const PARTS = ['freshness', 'write-cost', 'growth'] as const;
export type Part = (typeof PARTS)[number];
/** Open loop: of what the slowest can do. */
const OPEN_SHARE = 0.6;
/** Growth has many cells, and compares this server with itself. */
const GROWTH_SHARE = 1 / 3;

export interface BenchOptions {
  /** Of a cell. */
  readonly seconds: number;
  readonly rounds: number;
  readonly seed: number;
  readonly tasks: number;
  readonly growth: readonly number[];
  /** Names of contenders, parts and cells; empty: all. */
  readonly only: readonly string[];
  /** Arrivals a second of the open loop. Absent: measured. */
  readonly rate: number | undefined;
  readonly say: (line: string) => void;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Of the rows that name no version. */
  readonly node: string;
  readonly postgres: string;
  readonly redis: string;
  /** Of the minute before the run, by all that ran: above some tenths the figures are noisy. */
  readonly load: number;
}

/** A contender that could not run on this machine. */
export interface Skipped {
  readonly name: string;
  readonly title: string;
  readonly why: string;
}

export interface Report {
  readonly date: string;
  readonly minutes: number;
  readonly machine: Machine;
  readonly settings: Omit<BenchOptions, 'say' | 'rate'> & { readonly rate: number };
  readonly contenders: Readonly<Partial<Record<ContenderName, Summary & { readonly title: string }>>>;
  readonly skipped: readonly Skipped[];
  readonly writeCost: WriteCost | undefined;
  readonly growth: readonly GrowthRow[];
  readonly targets: readonly Target[];
  readonly rounds: Readonly<Partial<Record<ContenderName, readonly Omit<Turn, 'sample'>[]>>>;
}

export async function runBench(options: BenchOptions): Promise<Report> {
  const startedMs = performance.now();
  const load = os.loadavg()[0] ?? 0;
  const { say } = options;
  const world = await startWorld();
  try {
    const fenced = await world.tasks(options.tasks);
    const tables: Tables = {
      fenced,
      'without-cache-triggers': await world.withoutTriggers(fenced, 'cache_'),
      plain: await world.withoutTriggers(fenced),
    };
    say(`${fenced.data.tasks} tasks`);
    const run = new Run(world, tables, options);
    const measured = await run.all();
    const machine = { ...(await machineOf(world, fenced)), load };
    const { say: _, ...settings } = options;
    const minutes = (performance.now() - startedMs) / 60_000;
    return { date: new Date().toISOString(), minutes, machine, ...measured, settings: { ...settings, rate: run.rate } };
  } finally {
    await world.stop();
  }
}

type Tables = Readonly<Record<TablesName, Tasks>>;

class Run {
  rate = 0;
  readonly #world: World;
  readonly #tables: Tables;
  readonly #options: BenchOptions;
  #answers: Readonly<Record<string, string>> = {};
  readonly #sample: Partial<Record<ReadKind, string>> = {};

  constructor(world: World, tables: Tables, options: BenchOptions) {
    this.#world = world;
    this.#tables = tables;
    this.#options = options;
  }

  async all(): Promise<Pick<Report, 'contenders' | 'skipped' | 'writeCost' | 'growth' | 'targets' | 'rounds'>> {
    const { rounds, seconds, seed, say } = this.#options;
    const { fenced, plain } = this.#tables;
    this.#answers = await this.#answersOfOurs();
    this.rate = this.#options.rate ?? (await this.#slowest()) * OPEN_SHARE;
    say(`open loop: ${this.rate.toFixed(0)} arrivals/s`);
    const turns: Partial<Record<ContenderName, Turn[]>> = {};
    const { ready, skipped } = this.#chosen();
    for (const { title, why } of skipped) say(`not measured: ${title}: ${why}`);
    for (let round = 0; round < rounds; round++) {
      for (const one of rotated(ready, round)) {
        const turn = await this.#turn(one, round);
        this.#requireSame(one, turn.sample);
        turns[one.name as ContenderName] = [...(turns[one.name as ContenderName] ?? []), turn];
        say(`round ${round + 1}, ${one.name}: ${told(turn)}`);
      }
    }
    const writeCost = this.#wants('write-cost')
      ? await measureWriteCost({ world: this.#world, fenced, plain, seconds })
      : undefined;
    if (writeCost) say(`a write: ${writeCost.transactedMs.toFixed(2)} ms, plain ${writeCost.plainMs.toFixed(2)} ms`);
    const growth = this.#wants('growth') ? await this.#growth(seed) : [];
    const contenders = Object.fromEntries(
      Object.entries(turns).map(([name, of]) => [
        name,
        { title: titleOf(contender(name as ContenderName), this.#world.nodes), ...summaryOf(of) },
      ]),
    ) as Report['contenders'];
    return {
      contenders,
      skipped,
      writeCost,
      growth,
      targets: targetsOf({ summaries: contenders, growth }),
      rounds: Object.fromEntries(
        Object.entries(turns).map(([name, of]) => [name, of.map(({ sample: _, ...turn }) => turn)]),
      ),
    };
  }

  async #turn(one: Contender, round: number): Promise<Turn> {
    const turn = this.#turnOf(one, round);
    const cells = cellsOf(one.cells, this.rate).filter(({ name }) => this.#wantsCell(name));
    const freshness = this.#wants('freshness') && one.freshness;
    return measureTurn({ ...turn, cells, freshness });
  }

  /** @throws when a contender answers other data than those before it: then its figures are of something else. */
  #requireSame({ name, reads }: Contender, sample: Turn['sample']): void {
    for (const kind of reads) {
      const own = sample[kind];
      if (own === undefined) continue;
      this.#sample[kind] ??= own;
      const known = this.#sample[kind];
      if (own === known) continue;
      const at = [...own].findIndex((char, i) => char !== known[i]);
      const near = (text: string) => text.slice(Math.max(0, at - 80), at + 40);
      throw new Error(`${name} answers other data: …${near(own)}…, not …${near(known)}…`);
    }
  }

  async #growth(seed: number): Promise<GrowthRow[]> {
    const { rounds, seconds, growth, say } = this.#options;
    const sizes: Tasks[] = [];
    for (const size of growth) sizes.push(await this.#world.tasks(size));
    const options = { world: this.#world, sizes, rounds, seconds: seconds * GROWTH_SHARE, seed, say };
    const rows = await measureGrowth(options);
    for (const tasks of sizes) await this.#world.drop(tasks);
    return rows;
  }

  /** What this server answers, for the limits to answer the same. */
  async #answersOfOurs(): Promise<Record<string, string>> {
    return within(this.#turnOf(contender('tasks-api'), 0), async ({ client }) => {
      const operations: Record<string, Operation> = {
        Q1: { kind: 'Q1', task: TASKS_PER_PROJECT },
        Q2: { kind: 'Q2', project: 1 },
        Q3: { kind: 'Q3', project: 1 },
        Write: { kind: 'write', task: 1, change: { assigneeId: memberId(1, 1) } },
      };
      const answers: Record<string, string> = {};
      for (const [name, operation] of Object.entries(operations)) answers[name] = await client.ask(operation);
      return answers;
    });
  }

  /** Requests a second of the slowest under the mixed load. */
  async #slowest(): Promise<number> {
    const { seconds } = this.#options;
    const rates: number[] = [];
    for (const name of ['tasks-api-uncached', 'apollo-plain'] as const) {
      const one = contender(name);
      const cells = cellsOf(['mixed'], 0);
      const short = { ...this.#turnOf(one, 0), seconds: Math.min(1, seconds) };
      const turn = await measureTurn({ ...short, cells, freshness: false });
      rates.push(turn.cells.mixed?.perSecond ?? 0);
    }
    return Math.max(10, Math.min(...rates));
  }

  #turnOf(one: Contender, round: number) {
    const { seconds, seed } = this.#options;
    const tasks = this.#tables[one.tables];
    return { world: this.#world, tasks, contender: one, answers: this.#answers, seed: seed + round, seconds };
  }

  #chosen(): { readonly ready: readonly Contender[]; readonly skipped: readonly Skipped[] } {
    const { only } = this.#options;
    const named = CONTENDERS.filter(({ name }) => only.includes(name));
    const partsAlone = only.length > 0 && only.every((word) => (PARTS as readonly string[]).includes(word));
    const chosen: readonly Contender[] = named.length > 0 ? named : partsAlone ? [] : CONTENDERS;
    const { nodes } = this.#world;
    const skipped = chosen.flatMap((one) => {
      const why = whyMissing(one, nodes);
      return why === undefined ? [] : [{ name: one.name, title: titleOf(one, nodes), why }];
    });
    return { ready: chosen.filter(({ name }) => !skipped.some((one) => one.name === name)), skipped };
  }

  #wants(part: Part): boolean {
    const { only } = this.#options;
    return only.length === 0 || only.includes(part);
  }

  #wantsCell(name: CellName): boolean {
    const cells = this.#options.only.filter((word) => CELLS.includes(word));
    return cells.length === 0 || cells.includes(name);
  }
}

const CELLS: readonly string[] = [...new Set(CONTENDERS.flatMap(({ cells }): readonly CellName[] => cells))];
/** What `only` may name. */
export const NAMES: readonly string[] = [...CONTENDERS.map(({ name }) => name), ...PARTS, ...CELLS];

function rotated<T>(all: readonly T[], by: number): T[] {
  const from = all.length === 0 ? 0 : by % all.length;
  return [...all.slice(from), ...all.slice(0, from)];
}

function told({ cells, atRest, reused }: Turn): string {
  const all = Object.entries(cells);
  const errors = all.reduce((sum, [, { errors }]) => sum + errors, 0);
  const stale = all.reduce((sum, [, { stale }]) => sum + stale, 0);
  const first = all.find(([, { errors, first }]) => errors > 0 && first !== undefined)?.[1].first;
  const costs = all.map(([name, { cpuMs }]) => `${name} ${cpuMs.toFixed(3)}`).join(', ');
  const wrong = [
    errors > 0 && `${errors} ERRORS: ${first}`,
    stale > 0 && `${stale} stale`,
    atRest.stale > 0 && `${atRest.stale} of ${atRest.checked} stale at rest`,
    reused > 0 && `${reused} keys were not fresh`,
  ].filter(Boolean);
  return `${costs} ms CPU${wrong.map((text) => `; ${text}`).join('')}`;
}

async function machineOf({ redis, nodes }: World, { sql }: Tasks): Promise<Omit<Machine, 'load'>> {
  const [postgres] = await sql<{ server_version: string }[]>`show server_version`;
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model.trim() || os.arch(),
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 1024 ** 3),
    system: os.type(),
    node: nodes.main().version,
    postgres: postgres?.server_version ?? '?',
    redis: await redis.version(),
  };
}
