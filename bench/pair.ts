/**
 * Two builds side by side: `npm run bench:pair -- REF`. Starts this work tree and the commit REF as they run in production, each
 * with a database of its own on one Postgres and one Redis, and lets them take turns of a quarter second. Prints, for each cell, the
 * CPU per request of both and their ratio. What else the machine does hits both alike, so that the ratio holds on a busy machine,
 * where the times themselves mean nothing.
 *
 *   PAIR_CELLS      names of cells, with commas; default: all
 *   PAIR_TURNS      of each build and cell; default 24
 *   PAIR_WATCH      1: what it costs to watch. Both servers are of this work tree, REF is left out. A client subscribes to cacheActivity of
 *                   one of them, then of the other, and so on: what is measured is the watched one against the other, so that
 *                   what differs between the two processes is the same on both sides
 *   PAIR_SIZES      two numbers of tasks, such as 1000000,10000: what a request costs on a large table. Both servers are of this work tree,
 *                   REF is left out; the first number's against the second's. PAIR_CELLS has more to choose from: nodes 1, nodes 10, nodes 100
 *   PAIR_NODE       the executable that runs REF's build; default: the one that runs this. With REF = HEAD it compares two versions of Node
 *   BENCH_SEED, BENCH_TASKS, TEST_DATABASE_URL   as in run.ts
 *
 * Exit code 1 when a response was not the answer that was asked for.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SignJWT } from 'jose';
import { until } from '../test/chaos/wait.js';
import { PRODUCTION_FLAGS } from '../test/support/production-flags.js';
import { type Watcher, watch } from '../test/support/watcher.js';
import { type CellSpec, CLIENTS, cellsOf, ENTRIES, nodesCell } from './cells.js';
import { viewerId } from './dataset.js';
import { Client, closedLoop } from './generator.js';
import { median, Tally } from './tally.js';
import { DIALECTS, Workload } from './workload.js';
import { JWT_SECRET, startWorld, type Tasks, type World } from './world.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TURN_S = 0.25;
/** Turns that are not counted: the code of a cell's way gets warm. */
const WARM_UP_TURNS = 6;
const READY_WITHIN_MS = 30_000;

const env = process.env;
const turns = Number(env['PAIR_TURNS'] || 24);
const watching = env['PAIR_WATCH'] === '1';
const sizes = env['PAIR_SIZES']?.split(',').map(Number);
/** How many times the watcher changes sides in a cell: an even number. */
const WATCHED_BLOCKS = 4;
/** By then processes have stopped counting for a watcher that left. */
const UNWATCHED_AFTER_MS = 10_000;
const seed = Number(env['BENCH_SEED'] || 1);
const CELLS: readonly CellSpec[] = [
  ...cellsOf(['Q3', 'Q1 hits', 'Q2 hits', 'mixed', 'Q1 run', 'Q2 run', 'Q1 cold', 'Q2 cold', 'writes'], 0),
  ...(sizes === undefined ? [] : ENTRIES.map(nodesCell)),
];

/** Loaded into a server before its own code: answers every message with the CPU time used so far, in ms. */
const METER = `data:text/javascript,${encodeURIComponent(`
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send((user + system) / 1000);
});
process.on('disconnect', () => process.exit());
`)}`;

class Build {
  readonly workload: Workload;
  readonly client: Client;
  readonly #process: ChildProcess;
  readonly #origin: string;
  #watcher: Watcher | undefined;

  private constructor(started: ChildProcess, origin: string, tasks: Tasks) {
    this.#process = started;
    this.#origin = origin;
    this.workload = new Workload(tasks.data, seed);
    this.client = new Client({ origins: [origin], dialect: DIALECTS.api, tokens: tasks.tokens });
  }

  /** `slot`: of Redis's databases, so that no build sees what the other keeps. */
  static async start(tree: string, node: string, slot: number, tasks: Tasks, world: World): Promise<Build> {
    const port = await freePort();
    const started = fork(join(tree, 'dist/main.js'), {
      cwd: tree,
      execPath: node,
      execArgv: [...PRODUCTION_FLAGS, '--import', METER],
      env: {
        PATH: env['PATH'],
        NODE_ENV: 'production',
        LOG_LEVEL: 'warn',
        HOST: '127.0.0.1',
        PORT: String(port),
        RATE_LIMIT_POINTS: '0',
        TIME_LIMITS: 'off',
        DATABASE_URL: tasks.url,
        REDIS_URL: `${world.redis.url}/${slot}`,
        JWT_SECRET,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
    world.reaper.watch(started.pid as number);
    const origin = `http://127.0.0.1:${port}`;
    const ready = () =>
      fetch(`${origin}/readyz`).then(
        ({ ok }) => ok || started.exitCode !== null,
        () => started.exitCode !== null,
      );
    await until(`${tree} is ready`, ready, { withinMs: READY_WITHIN_MS, everyMs: 50 });
    if (started.exitCode !== null) throw new Error(`the server of ${tree} ended before it was ready`);
    return new Build(started, origin, tasks);
  }

  async cpuMs(): Promise<number> {
    this.#process.send('usage');
    const [ms] = (await once(this.#process, 'message')) as [number];
    return ms;
  }

  /** Asks for all known keys, twice: the second time what is stored comes into memory. */
  async warmUp(): Promise<void> {
    for (let time = 0; time < 2; time++) {
      const known = this.workload.known(['Q1', 'Q2', 'Q3']);
      const asking = async () => {
        for (const operation of known) await this.client.ask(operation);
      };
      await Promise.all(Array.from({ length: CLIENTS }, asking));
    }
  }

  /** One turn of a cell: CPU ms per request, or undefined when nothing was left to ask. */
  async turn({ next, clients }: CellSpec, tally: Tally): Promise<number | undefined> {
    const before = { ms: await this.cpuMs(), answers: tally.answers };
    await closedLoop({ client: this.client, seconds: TURN_S, next: () => next(this.workload), tally }, clients);
    const answers = tally.answers - before.answers;
    return answers === 0 ? undefined : ((await this.cpuMs()) - before.ms) / answers;
  }

  /** Subscribes to cacheActivity. */
  async watch(): Promise<void> {
    const token = await new SignJWT({ scope: 'cache:admin' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(viewerId(1))
      .setIssuer('tasks-api')
      .setAudience('tasks-api')
      .setExpirationTime('12h')
      .sign(new TextEncoder().encode(JWT_SECRET));
    const watcher = watch({ url: `${this.#origin}/graphql` }, `Bearer ${token}`);
    this.#watcher = watcher;
    const received = async () => watcher.messages.length > 0;
    await until('the watcher receives a message', received, { withinMs: READY_WITHIN_MS, everyMs: 50 });
  }

  async unwatch(): Promise<void> {
    await this.#watcher?.stop();
    this.#watcher = undefined;
    await setTimeout(UNWATCHED_AFTER_MS);
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop();
    await this.client.close();
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

const run = (cwd: string, command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}) =>
  execFileSync(command, args, { cwd, env: { ...env, ...more }, stdio: ['ignore', 'ignore', 'inherit'] });

/** Both trees take their own migrations. */
async function tasksOf(tree: string, slot: number, world: World): Promise<Tasks> {
  const count = sizes?.[slot] ?? Number(env['BENCH_TASKS'] || 100_000);
  return world.tasks(count, async (url) => {
    run(tree, 'npm', ['run', '--silent', 'migrate'], { DATABASE_URL: url });
  });
}

/** Installed and built in a folder of its own, from the history of this repository. */
async function checkedOut(ref: string, world: World): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'tasks-pair-'));
  world.reaper.removes(tree);
  run(ROOT, 'git', ['worktree', 'add', '--quiet', '--force', '--detach', tree, ref]);
  run(tree, 'npm', ['ci', '--no-audit', '--no-fund', '--silent']);
  run(tree, 'npm', ['run', '--silent', 'build']);
  return tree;
}

const ratiosOf = ([mine, other]: Compared['costs']) => mine.map((ms, i) => ms / (other[i] as number));

/** Median of the turns' ratios, and the middle half of them. */
function middleOf(ratios: readonly number[]): string {
  if (ratios.length === 0) return 'nothing was left to ask';
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2);
  return `${median(sorted).toFixed(3)} (${at(0.25)} to ${at(0.75)})`;
}

/** A collection of garbage falls into few of the turns: the median of their ratios does not show it. */
function ratioOfMeans([mine, other]: Compared['costs']): string {
  const sum = (costs: readonly number[]) => costs.reduce((total, ms) => total + ms, 0);
  return mine.length === 0 ? '' : (sum(mine) / sum(other)).toFixed(3);
}

type Pair = readonly [Build, Build];

interface Compared {
  /** CPU ms per request of each turn: the first build's, and the second's. */
  readonly costs: [number[], number[]];
  readonly tallies: readonly [Tally, Tally];
}

/** Takes `count` turns in pairs, after some that are not counted. */
async function takeTurns(cell: CellSpec, builds: Pair, count: number, { costs, tallies }: Compared): Promise<void> {
  for (let turn = -WARM_UP_TURNS; turn < count; turn++) {
    const first = turn & 1;
    const taken: (number | undefined)[] = [];
    for (const which of [first, 1 - first] as (0 | 1)[]) taken[which] = await builds[which].turn(cell, tallies[which]);
    const [mine, other] = taken;
    if (mine === undefined || other === undefined) break;
    if (turn < 0) continue;
    costs[0].push(mine);
    costs[1].push(other);
  }
}

/**
 * The first is the watched one, in each block the other build.
 * @returns the geometric mean of the blocks' ratios, and each of them
 */
async function compareWatched(cell: CellSpec, [one, other]: Pair, { costs, tallies }: Compared): Promise<string> {
  const ratios: number[] = [];
  for (let block = 0; block < WATCHED_BLOCKS; block++) {
    const builds: Pair = block % 2 === 0 ? [one, other] : [other, one];
    const inBlock: Compared = { costs: [[], []], tallies };
    await builds[0].watch();
    await takeTurns(cell, builds, Math.ceil(turns / WATCHED_BLOCKS), inBlock);
    await builds[0].unwatch();
    for (const side of [0, 1] as const) costs[side].push(...inBlock.costs[side]);
    ratios.push(median(ratiosOf(inBlock.costs)));
  }
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  return `${mean.toFixed(3)} (${ratios.map((ratio) => ratio.toFixed(2)).join(', ')})`;
}

async function compareTrees(cell: CellSpec, builds: Pair, compared: Compared): Promise<string> {
  await takeTurns(cell, builds, turns, compared);
  return middleOf(ratiosOf(compared.costs));
}

async function compare(cell: CellSpec, builds: Pair): Promise<{ line: string; failed: boolean }> {
  const compared: Compared = { costs: [[], []], tallies: [new Tally(), new Tally()] };
  const ratio = await (watching ? compareWatched : compareTrees)(cell, builds, compared);
  const { costs, tallies } = compared;
  const wrong = tallies.map(({ errors, first }, i) =>
    errors > 0 ? `${errors} wrong by ${i === 0 ? 'the first' : 'the second'}: ${first}` : '',
  );
  const [mine, other] = costs.map((of) => median(of).toFixed(3));
  const taken = `${costs[0].length}`;
  const cells = [cell.name, mine, other, ratio, ratioOfMeans(costs), taken, wrong.filter(Boolean).join('; ')];
  return { line: `| ${cells.join(' | ')} |`, failed: wrong.some(Boolean) };
}

async function main(ref: string | undefined): Promise<number> {
  if (ref === undefined && !watching && sizes === undefined)
    throw new Error('expected a commit to compare with: npm run bench:pair -- REF');
  const wanted = (env['PAIR_CELLS'] || CELLS.map(({ name }) => name).join(',')).split(',');
  const unknown = wanted.find((name) => !CELLS.some((cell) => cell.name === name));
  if (unknown !== undefined)
    throw new Error(`PAIR_CELLS: expected some of ${CELLS.map(({ name }) => name)}, not ${unknown}`);
  const world = await startWorld();
  const builds: Build[] = [];
  let other: string | undefined;
  try {
    run(ROOT, 'npm', ['run', '--silent', 'build']);
    if (ref !== undefined) other = await checkedOut(ref, world);
    for (const [slot, tree] of [ROOT, other ?? ROOT].entries()) {
      const node = slot === 1 ? env['PAIR_NODE'] || process.execPath : process.execPath;
      builds.push(await Build.start(tree, node, slot, await tasksOf(tree, slot, world), world));
    }
    for (const build of builds) await build.warmUp();
    const [first, second] = watching
      ? ['watched', 'not watched']
      : (sizes?.map((size) => `${size} tasks`) ?? ['this', ref]);
    process.stdout.write(
      `| cell | ${first}: CPU ms | ${second} | ratio (${watching ? 'of each block' : 'middle half of the turns'}) | of the means | turns | |\n|---|--:|--:|--:|--:|--:|---|\n`,
    );
    let failed = false;
    for (const name of wanted) {
      const cell = CELLS.find((spec) => spec.name === name) as CellSpec;
      const result = await compare(cell, builds as unknown as Pair);
      process.stdout.write(`${result.line}\n`);
      failed ||= result.failed;
    }
    return failed ? 1 : 0;
  } finally {
    await Promise.all(builds.map((build) => build.stop()));
    await world.stop();
    if (other !== undefined) {
      await rm(other, { recursive: true, force: true });
      run(ROOT, 'git', ['worktree', 'prune']);
    }
  }
}

process.exit(await main(process.argv[2]));
