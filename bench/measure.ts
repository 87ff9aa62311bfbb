/**
 * One contender's turn in one round: its processes started on an empty Redis, the known keys asked for, the mixed load until it is warm, then cell
 * after cell, each with a warm-up of its own. What a cell cost is the difference of what the processes and Redis counted before and after it, over its requests.
 */
import { randomOf } from '../test/chaos/random.js';
import { sleep } from '../test/chaos/wait.js';
import { type CellName, type CellSpec, CLIENTS, MIXED_BY_TWO, typicalCell } from './cells.js';
import type { Contender } from './contender.js';
import { Acknowledged, provokeRaces, staleAtRest } from './freshness.js';
import { Client, closedLoop, type Load, type LoadResult, openLoop } from './generator.js';
import { callsBetween } from './redis-meter.js';
import type { RedisServers } from './redis-servers.js';
import { Running } from './running.js';
import { Tally } from './tally.js';
import { DIALECTS, type Dialect, type ReadKind, Workload } from './workload.js';
import type { Tasks, World } from './world.js';

/** A warm-up ends when so many windows in turn have brought the CPU of a request down no further. */
interface WarmUp {
  readonly settledWindows: number;
  /** Of the lengths of a cell. */
  readonly window: number;
  readonly max: number;
}
/** Of a new process by the mixed load: V8 compiles for minutes. */
const PROCESS_WARM_UP: WarmUp = { settledWindows: 4, window: 1, max: 20 };
/** Of a cell. */
const CELL_WARM_UP: WarmUp = { settledWindows: 3, window: 1 / 6, max: 2 };
/** What counts as no further. */
const SETTLED_SHARE = 0.97;
/** Time for what a warm-up leaves to be stored, which nobody waits for. */
const SETTLE_MS = 50;

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
  /** Redis's own CPU, user and system, ms per request; the relay's ticks are in it. */
  readonly redisCpuMs: number;
  /** Of the largest process, at the cell's end. */
  readonly rssMiB: number;
  readonly reads: number;
  readonly stale: number;
  readonly errors: number;
  /** Of the generator. */
  readonly busy: number;
  /** Requests that the generator sent at once. */
  readonly burst: number;
  /** The first of what was wrong, if anything. */
  readonly first: string | undefined;
  readonly redisByCommand: Readonly<Record<string, number>>;
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
  /** What it answered to questions about what nobody writes to, by their kind; of limits nothing. */
  readonly sample: Readonly<Partial<Record<ReadKind, string>>>;
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
    await turn.warmUp();
    for (const spec of options.cells) cells[spec.name] = await turn.measure(spec);
    if (options.freshness) {
      await turn.addProcess();
      cells[MIXED_BY_TWO.name] = await turn.measure(MIXED_BY_TWO);
      cells['races, 2 processes'] = await turn.race();
    }
    return { sample, cells, atRest: await turn.atRest(), reused: turn.workload.reused };
  });
}

/** With a process of the contender on an empty Redis, warmed up; it ends with `run`. */
export async function within<T>(options: TurnOptions, run: (turn: RunningTurn) => Promise<T>): Promise<T> {
  const { world, contender } = options;
  const redis = contender.redis === 'cluster' ? await world.cluster() : world.redis;
  await redis.clear();
  const turn = new RunningTurn(options, redis);
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
  readonly #redis: RedisServers;
  readonly #dialect: Dialect;
  readonly #acknowledged: Acknowledged;
  readonly #processes: Running[] = [];
  #client: Client | undefined;

  constructor(options: TurnOptions, redis: RedisServers) {
    const { contender, tasks, seed } = options;
    this.#options = options;
    this.#redis = redis;
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
    const { url: redisUrl, clusterNodes } = this.#redis;
    const given = { databaseUrl: tasks.url, redisUrl, clusterNodes };
    this.#processes.push(await Running.start(contender, world, { ...given, answers }));
    await this.#client?.close();
    const origins = this.#processes.map(({ origin }) => origin);
    this.#client = new Client({ origins, dialect: this.#dialect, tokens: tasks.tokens });
    await this.#askKnown(this.#processes.length - 1);
  }

  async stop(): Promise<void> {
    await this.#client?.close();
    await Promise.all(this.#processes.map((one) => one.stop()));
  }

  /** Every known key: once to be stored; by ours once more, whose memory keeps what it found stored. */
  async #askKnown(process: number): Promise<void> {
    const { kind, cached, reads } = this.#options.contender;
    const times = kind === 'ours' && cached ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const known = this.workload.known(reads);
      const asking = async () => {
        for (const operation of known) await this.client.ask(operation, process);
      };
      await Promise.all(Array.from({ length: CLIENTS }, asking));
      await sleep(SETTLE_MS);
    }
  }

  async sample(): Promise<Turn['sample']> {
    const { kind, reads } = this.#options.contender;
    if (kind === 'limit') return {};
    const answers: Partial<Record<ReadKind, string>> = {};
    for (const operation of this.workload.unwritten(reads)) {
      const answer = JSON.stringify(await this.client.read(operation));
      answers[operation.kind] = `${answers[operation.kind] ?? ''}${answer}\n`;
    }
    return answers;
  }

  /** `profile`: a file to write where the CPU of the first process went. */
  async measure(spec: CellSpec, profile?: string): Promise<Cell> {
    const { workload, client } = this;
    const { seconds, seed } = this.#options;
    const { next, clients, rate } = spec;
    await this.#settle(spec, CELL_WARM_UP);
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

  /** By the typical load: a server runs for days, so the time until V8 has compiled what it needs is not measured. */
  async warmUp(): Promise<void> {
    const { cells, reads } = this.#options.contender;
    await this.#settle(typicalCell(cells, reads), PROCESS_WARM_UP);
  }

  async #settle({ warmUp, clients }: CellSpec, { settledWindows, ...lengths }: WarmUp): Promise<void> {
    const { workload, client } = this;
    const tally = new Tally();
    const { seconds } = this.#options;
    const window = lengths.window * seconds;
    const load: Load = { client, seconds: window, tally, next: () => warmUp(workload), watch: this.#watch(tally) };
    let least = Number.POSITIVE_INFINITY;
    let settled = 0;
    for (let spent = 0; spent < lengths.max * seconds && settled < settledWindows; spent += window) {
      const [before, answers] = [await this.#usage(), tally.answers];
      await closedLoop(load, clients);
      const cpuMs = ((await this.#usage()).cpuMs - before.cpuMs) / (tally.answers - answers);
      settled = cpuMs < least * SETTLED_SHARE ? 0 : settled + 1;
      least = Math.min(least, cpuMs);
    }
  }

  async race(): Promise<Cell> {
    const { workload, client } = this;
    const { seconds } = this.#options;
    const tally = new Tally();
    return this.#counted(tally, async () => {
      await provokeRaces({ client, workload, acknowledged: this.#acknowledged, tally, seconds });
      return { seconds, busy: 0, burst: 1 };
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

  async #counted(tally: Tally, run: () => Promise<LoadResult>): Promise<Cell> {
    const before = await this.#usage();
    const { seconds, busy, burst } = await run();
    await sleep(SETTLE_MS); // releases and fills belong to their requests
    const after = await this.#usage();
    const requests = Math.max(1, tally.answers);
    const redisByCommand = callsBetween(before.redis, after.redis);
    return {
      requests: tally.answers,
      perSecond: tally.answers / seconds,
      ...tally.latency,
      cpuMs: (after.cpuMs - before.cpuMs) / requests,
      sql: (after.statements - before.statements) / requests,
      redis: Object.values(redisByCommand).reduce((sum, calls) => sum + calls, 0) / requests,
      redisCpuMs: (after.redis.cpuUs - before.redis.cpuUs) / 1000 / requests,
      rssMiB: after.rssMiB,
      reads: tally.reads,
      stale: tally.stale,
      errors: tally.errors,
      busy,
      burst,
      first: tally.first,
      redisByCommand,
    };
  }

  async #usage() {
    const [redis, ...usages] = await Promise.all([this.#redis.usage(), ...this.#processes.map((one) => one.usage())]);
    const sum = (of: (usage: (typeof usages)[number]) => number) => usages.reduce((total, one) => total + of(one), 0);
    return {
      redis,
      cpuMs: sum(({ cpuMs }) => cpuMs),
      statements: sum(({ statements }) => statements),
      rssMiB: Math.max(...usages.map(({ rssBytes }) => rssBytes)) / 1024 ** 2,
    };
  }
}
