/**
 * One contender's turn in one round: its processes started on an empty Redis, the known keys asked for, then cell after cell, each with a warm-up of its
 * own. What a cell cost is the difference of what the processes and Redis counted before and after it, over its requests.
 */
import { randomOf } from '../test/chaos/random.js';
import { sleep } from '../test/chaos/wait.js';
import { type Contender, Running } from './contender.js';
import { Acknowledged, provokeRaces, staleAtRest } from './freshness.js';
import { Client, closedLoop, type Load, openLoop } from './generator.js';
import { Tally } from './tally.js';
import {
  DIALECTS,
  type Dialect,
  FRESH_SHARE,
  type FreshOrder,
  MIXED,
  type Mix,
  type Operation,
  type ReadKind,
  Workload,
} from './workload.js';
import type { Tasks, World } from './world.js';

/** Of a closed loop. */
export const CLIENTS = 32;
const MAX_WARM_UP_S = 1.5;
const WARM_UP_SHARE = 0.3;
/** Of the fresh keys. */
const WARM_UP_LEAVES = 2 / 3;
const READ_KINDS = ['Q1', 'Q2', 'Q3'] as const;
/** Time for what a warm-up leaves to be stored, which nobody waits for. */
const SETTLE_MS = 50;

export type CellName =
  | 'Q1'
  | 'Q2'
  | 'Q3'
  | 'mixed'
  | 'mixed, open loop'
  | 'Q1 hits'
  | 'Q2 hits'
  | 'Q1 cold'
  | 'Q2 cold'
  | 'Q1 run'
  | 'Q2 run'
  | 'writes'
  | 'mixed, 2 processes'
  | 'races, 2 processes';

export interface Cell {
  readonly requests: number;
  readonly perSecond: number;
  /** ms */
  readonly p50: number;
  readonly p99: number;
  /** Of all of the contender's processes, ms per request. */
  readonly cpuMs: number;
  /** Per request. */
  readonly sql: number;
  /** Per request: all commands that Redis ran, those of scripts and of the relay's ticks included. */
  readonly redis: number;
  /** Of the largest process, at the cell's end. */
  readonly rssMiB: number;
  readonly reads: number;
  readonly stale: number;
  readonly errors: number;
  /** Of the generator. */
  readonly busy: number;
  /** The first of what was wrong, if anything. */
  readonly first: string | undefined;
  readonly redisByCommand: Readonly<Record<string, number>>;
}

export interface CellSpec {
  readonly name: CellName;
  readonly next: (workload: Workload) => Operation | undefined;
  readonly warmUp: (workload: Workload) => Operation;
  readonly clients: number;
  /** Open loop: arrivals a second. */
  readonly rate?: number;
}

const leavesMost = (workload: Workload, kind: ReadKind) => workload.left(kind) > workload.size(kind) * WARM_UP_LEAVES;

const mix = (name: CellName, of: Mix, fresh: number): CellSpec => ({
  name,
  next: (workload) => workload.next(of, fresh),
  // The same, as long as that leaves most of the fresh keys: a server runs for days, and the way of a miss is warm, too.
  warmUp: (workload) => workload.next(of, READ_KINDS.every((kind) => leavesMost(workload, kind)) ? fresh : 0),
  clients: CLIENTS,
});
/** Its warm-up takes fresh keys, too, as it is another way through a server, but leaves most of them. */
export const cold = (name: CellName, kind: 'Q1' | 'Q2', order: FreshOrder = 'scattered'): CellSpec => {
  const fresh = (workload: Workload) => workload.fresh(kind, order);
  return {
    name,
    next: (workload) => (workload.left(kind) > 0 ? fresh(workload) : undefined),
    warmUp: (workload) => (leavesMost(workload, kind) ? fresh(workload) : workload.next({ [kind]: 1 }, 0)),
    clients: CLIENTS,
  };
};

/** Each body another, by a member that nothing looks at: no answer is known, all rows are in memory. */
export const runCell = (kind: 'Q1' | 'Q2'): CellSpec => {
  let asked = 0;
  const next = (workload: Workload): Operation => ({ ...workload.next({ [kind]: 1 }, 0), unlike: ++asked });
  return { name: `${kind} run`, next, warmUp: next, clients: CLIENTS };
};

/** Writes alone wait for each other's rows: fewer at once. */
const WRITERS = 4;

export function cellsOf({ name }: Contender, rate: number): CellSpec[] {
  const compared = name === 'tasks-api' || name === 'apollo-plain';
  return [
    mix('Q1', { Q1: 1 }, FRESH_SHARE),
    mix('Q2', { Q2: 1 }, FRESH_SHARE),
    mix('Q3', { Q3: 1 }, FRESH_SHARE),
    ...(name === 'tasks-api' || name === 'limit-redis'
      ? [mix('Q1 hits', { Q1: 1 }, 0), mix('Q2 hits', { Q2: 1 }, 0)]
      : []),
    mix('mixed', MIXED, FRESH_SHARE),
    { ...mix('mixed, open loop', MIXED, FRESH_SHARE), rate },
    // Last, when what loads is as warm as what hits.
    ...(compared ? [cold('Q1 cold', 'Q1'), cold('Q2 cold', 'Q2')] : []),
    ...(compared ? [{ ...mix('writes', { write: 1 }, 0), clients: WRITERS }] : []),
  ];
}

export interface TurnOptions {
  readonly world: World;
  readonly tasks: Tasks;
  readonly contender: Contender;
  readonly answers: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly seconds: number;
}

export interface Turn {
  /** What it answered to questions about what nobody writes to; of limits nothing. */
  readonly sample: string;
  readonly cells: Readonly<Partial<Record<CellName, Cell>>>;
  readonly atRest: { readonly checked: number; readonly stale: number };
  /** Fresh keys that had to be asked for twice. */
  readonly reused: number;
}

/** Every cell by one process; with `freshness` then the mixed load by two, and races between them on hot keys. */
export async function measureTurn(
  options: TurnOptions & { readonly cells: readonly CellSpec[]; readonly freshness: boolean },
): Promise<Turn> {
  return within(options, async (turn) => {
    const sample = await turn.sample();
    const cells: Partial<Record<CellName, Cell>> = {};
    for (const spec of options.cells) cells[spec.name] = await turn.measure(spec);
    if (options.freshness) {
      await turn.addProcess();
      cells['mixed, 2 processes'] = await turn.measure(mix('mixed, 2 processes', MIXED, FRESH_SHARE));
      cells['races, 2 processes'] = await turn.race();
    }
    return { sample, cells, atRest: await turn.atRest(), reused: turn.workload.reused };
  });
}

/** With a process of the contender on an empty Redis, warmed up; it ends with `run`. */
export async function within<T>(options: TurnOptions, run: (turn: RunningTurn) => Promise<T>): Promise<T> {
  await options.world.redis.flushall();
  const turn = new RunningTurn(options);
  try {
    await turn.addProcess();
    return await run(turn);
  } finally {
    await turn.stop();
  }
}

export class RunningTurn {
  readonly workload: Workload;
  readonly #options: TurnOptions;
  readonly #dialect: Dialect;
  readonly #acknowledged: Acknowledged;
  readonly #processes: Running[] = [];
  #client: Client | undefined;

  constructor(options: TurnOptions) {
    const { contender, tasks, seed } = options;
    this.#options = options;
    this.#dialect = DIALECTS[contender.dialect];
    this.#acknowledged = new Acknowledged(this.#dialect);
    this.workload = new Workload(tasks.data, seed);
  }

  /** Asks all processes in turn. */
  get client(): Client {
    if (this.#client === undefined) throw new Error('no process has been added');
    return this.#client;
  }

  async addProcess(): Promise<void> {
    const { world, contender, tasks, answers } = this.#options;
    this.#processes.push(await Running.start(contender, world, { databaseUrl: tasks.url, answers }));
    await this.#client?.close();
    const origins = this.#processes.map(({ origin }) => origin);
    this.#client = new Client({ origins, dialect: this.#dialect, tokens: tasks.tokens });
    await this.#warmUp(this.#processes.length - 1);
  }

  async stop(): Promise<void> {
    await this.#client?.close();
    await Promise.all(this.#processes.map((one) => one.stop()));
  }

  /** Every known key: once to be stored; by ours once more, whose memory keeps what it found stored. */
  async #warmUp(process: number): Promise<void> {
    const { kind, cached } = this.#options.contender;
    const times = kind === 'ours' && cached ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const known = this.workload.known();
      const asking = async () => {
        for (const operation of known) await this.client.ask(operation, process);
      };
      await Promise.all(Array.from({ length: CLIENTS }, asking));
      await sleep(SETTLE_MS);
    }
  }

  async sample(): Promise<string> {
    if (this.#options.contender.kind === 'limit') return '';
    const answers: unknown[] = [];
    for (const operation of this.workload.unwritten()) answers.push(await this.client.read(operation));
    return JSON.stringify(answers);
  }

  /** `profile`: a file to write where the CPU of the first process went. */
  async measure({ next, warmUp, clients, rate }: CellSpec, profile?: string): Promise<Cell> {
    const { workload, client } = this;
    const { seconds, seed } = this.#options;
    const warming = { client, seconds: Math.min(MAX_WARM_UP_S, seconds * WARM_UP_SHARE), tally: new Tally() };
    await closedLoop({ ...warming, next: () => warmUp(workload), watch: this.#watch(warming.tally) }, clients);
    await sleep(SETTLE_MS);
    const tally = new Tally();
    const load: Load = { client, seconds, tally, next: () => next(workload), watch: this.#watch(tally) };
    const [first] = this.#processes;
    if (profile !== undefined) await first?.profile(profile);
    const cell = await this.#counted(tally, () =>
      rate === undefined ? closedLoop(load, clients) : openLoop(load, rate, randomOf(seed)),
    );
    if (profile !== undefined) await first?.profile(profile);
    return cell;
  }

  async race(): Promise<Cell> {
    const { workload, client } = this;
    const { seconds } = this.#options;
    const tally = new Tally();
    return this.#counted(tally, async () => {
      await provokeRaces({ client, workload, acknowledged: this.#acknowledged, tally, seconds });
      return { seconds, busy: 0 };
    });
  }

  async atRest(): Promise<{ checked: number; stale: number; first?: string | undefined }> {
    const { contender, tasks } = this.#options;
    if (contender.kind === 'limit') return { checked: 0, stale: 0 };
    return staleAtRest(tasks, this.client, this.#acknowledged);
  }

  /** Limits answer all alike. */
  #watch(tally: Tally): Load['watch'] {
    if (this.#options.contender.kind === 'limit') return undefined;
    return (operation) => this.#acknowledged.watch(operation, tally);
  }

  async #counted(tally: Tally, run: () => Promise<{ seconds: number; busy: number }>): Promise<Cell> {
    const before = await this.#usage();
    const { seconds, busy } = await run();
    await sleep(SETTLE_MS); // releases and fills belong to their requests
    const after = await this.#usage();
    const requests = Math.max(1, tally.answers);
    const redisByCommand = Object.fromEntries(
      [...after.redis]
        .map(([command, calls]) => [command, calls - (before.redis.get(command) ?? 0)] as const)
        .filter(([, calls]) => calls > 0),
    );
    return {
      requests: tally.answers,
      perSecond: tally.answers / seconds,
      ...tally.latency,
      cpuMs: (after.cpuMs - before.cpuMs) / requests,
      sql: (after.statements - before.statements) / requests,
      redis: Object.values(redisByCommand).reduce((sum, calls) => sum + calls, 0) / requests,
      rssMiB: after.rssMiB,
      reads: tally.reads,
      stale: tally.stale,
      errors: tally.errors,
      busy,
      first: tally.first,
      redisByCommand,
    };
  }

  async #usage() {
    const [redis, ...usages] = await Promise.all([
      commandCalls(this.#options.world),
      ...this.#processes.map((one) => one.usage()),
    ]);
    const sum = (of: (usage: (typeof usages)[number]) => number) => usages.reduce((total, one) => total + of(one), 0);
    return {
      redis,
      cpuMs: sum(({ cpuMs }) => cpuMs),
      statements: sum(({ statements }) => statements),
      rssMiB: Math.max(...usages.map(({ rssBytes }) => rssBytes)) / 1024 ** 2,
    };
  }
}

/** By command, since the server began; our own INFO is not among them. */
async function commandCalls({ redis }: World): Promise<ReadonlyMap<string, number>> {
  const text = await redis.info('commandstats');
  const calls = [...text.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map(
    ([, command, count]) => [command as string, Number(count)] as const,
  );
  return new Map(calls.filter(([command]) => command !== 'info'));
}
