/**
 * What one Redis server pays for each step of the protocol, in microseconds of its own CPU: log reads, fences, releases, fills, reads of an
 * entry with its tokens. The steps are those of the product's store. Each figure is the lowest of several repetitions, since other work on
 * the machine only adds to it (caches, interrupts).
 */
import type { Key } from '../src/engine/cache/index.js';
import type { LogMark } from '../src/engine/cache/store.js';
import { RedisStore } from '../src/engine/redis/index.js';
import { callsBetween, executionBetween, type RedisUsage, usedMemoryBytes } from './redis-meter.js';
import { LogReadReplay } from './redis-replay.js';
import type { RedisCosts, StepCost, StepName } from './scaling-results.js';
import { entryOfTask, tagsOfWrite, taskTags } from './typical-entries.js';
import type { World } from './world.js';

const GROUP = 'scaling';
const READS = ['mget', 'xread'];
const SCRIPTS = ['eval', 'evalsha'];
/** Simulated processes: each has a store, and so connections, of its own. */
const MANY = 64;
const LOG_RECORDS = 2000;
const WRITES = 1000;
const ENTRIES = 1000;
/** As many as a list of 20 tasks with their labels, users and project stores when none is cached. */
const ENTRIES_PER_FILL = 28;
const TTL_MS = 60 * 60 * 1000;
/** The interval of the relay's ticks. */
const TICKS_MS = 250;
/** Long: a saturated server is what is measured. */
const WAIT_MS = 10_000;
const WARM_UP_CALLS = 2000;

/** One call of a step, by the store of one simulated process; `n` counts the calls. */
type Step = (store: RedisStore, n: number) => Promise<unknown>;

export async function measureRedisCosts(options: {
  world: World;
  rounds: number;
  seconds: number;
}): Promise<RedisCosts> {
  const { world, rounds, seconds } = options;
  await world.redis.clear();
  const place = { url: world.redis.url, group: GROUP, waitMs: WAIT_MS };
  const stores = [new RedisStore(place)];
  const [first] = stores as [RedisStore];
  await first.ready();
  await grantLease(first);
  const ticking = setInterval(() => void grantLease(first).catch(() => {}), TICKS_MS);
  try {
    // Before the other connections are open, whose buffers come and go.
    const entries = await measureEntries(world, first);
    while (stores.length < MANY) stores.push(new RedisStore(place));
    await Promise.all(stores.map((store) => store.ready()));
    return { steps: await measureSteps(new StepBench(world, stores, seconds), rounds), entries };
  } finally {
    clearInterval(ticking);
    await Promise.all(stores.map((store) => store.close()));
  }
}

async function measureSteps(bench: StepBench, rounds: number): Promise<RedisCosts['steps']> {
  const found: Partial<Record<StepName, StepCost>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, cost] of await bench.round(round)) {
      const known = found[name];
      if (known === undefined || cost.redisUs < known.redisUs) found[name] = cost;
    }
  }
  return found as Record<StepName, StepCost>;
}

/** As the relay does: a tick that finds no position takes the keys and grants nothing; the next grants a lease. */
async function grantLease(store: RedisStore): Promise<void> {
  for (const grant of ['hold', 'grant'] as const) {
    const head = await store.head();
    if (head.position !== undefined && grant === 'hold') continue;
    const next = head.position ?? { xid: 1n, purge: 'scaling.bench' };
    await store.apply({ head, next, rows: [], barrier: 1n, grant });
  }
}

/** Memory and commands of typical entries: READ that mints the tokens of their tags, then FILL. */
async function measureEntries(world: World, store: RedisStore): Promise<RedisCosts['entries']> {
  let textChars = 0;
  const storeOne = async (task: number) => {
    const { key, text } = entryOfTask(task);
    await store.read([key], taskTags(task), { mint: true });
    await store.fill([{ key, text, ttlMs: TTL_MS }]);
    textChars += text.length / ENTRIES;
  };
  // Buffers and scripts are there before anything is counted.
  for (let task = ENTRIES + 1; task <= 2 * ENTRIES; task++) await storeOne(task);
  textChars = 0;
  const [bytesBefore, before] = [await usedMemoryBytes(world.redis.client), await world.redis.usage()];
  for (let task = 1; task <= ENTRIES; task++) await storeOne(task);
  const commands = callsBetween(before, await world.redis.usage());
  const bytes = (await usedMemoryBytes(world.redis.client)) - bytesBefore;
  return {
    count: ENTRIES,
    textChars,
    bytes,
    commands: { set: commands['set'] ?? 0, evalsha: commands['evalsha'] ?? 0 },
  };
}

class StepBench {
  readonly #world: World;
  readonly #stores: readonly RedisStore[];
  readonly #seconds: number;
  #xid = 1000n;

  constructor(world: World, stores: readonly RedisStore[], seconds: number) {
    this.#world = world;
    this.#stores = stores;
    this.#seconds = seconds;
  }

  async round(round: number): Promise<[StepName, StepCost][]> {
    const one = this.#stores.slice(0, 1);
    const all = this.#stores;
    await this.#fillLog();
    const costs: [StepName, StepCost][] = [];
    const measured = async (name: StepName, callers: readonly RedisStore[], step: Step, commands = READS) =>
      costs.push([name, await this.#timed(callers, step, commands)]);
    const atEnd = await this.#logRead(0);
    await measured('log read, 1 connection, 1 at a time', one, atEnd);
    await measured(
      'log read, 1 connection, 64 at a time',
      new Array<RedisStore>(MANY).fill(one[0] as RedisStore),
      atEnd,
    );
    await measured('log read, 64 connections', all, atEnd);
    costs.push(['log read, 64 plain sockets', await this.#replayed(MANY, 1)]);
    costs.push(['log read, 8 plain sockets, 16 at a time', await this.#replayed(8, 16)]);
    for (const records of [10, 100] as const)
      await measured(`log read, 64 connections, ${records} records`, all, await this.#logRead(records));
    await measured('entry with its tokens, 64 connections', all, await this.#readEntry());
    costs.push(...(await this.#writes()));
    for (const [name, count] of [
      ['fill of 1 entry', 1],
      [`fill of ${ENTRIES_PER_FILL} entries`, ENTRIES_PER_FILL],
    ] as const)
      await measured(
        `${name}, 64 connections` as StepName,
        all,
        (store, n) => store.fill(fillsOf(n + round, count)),
        SCRIPTS,
      );
    return costs;
  }

  /** A full log, so that a log read is not cheaper than in production. */
  async #fillLog(): Promise<void> {
    await this.#all(LOG_RECORDS, (store, n) => store.fence(this.#xid + BigInt(n), tagsOfWrite(n), { fresh: false }));
    await this.#all(LOG_RECORDS, (store, n) => store.release(this.#xid + BigInt(n), tagsOfWrite(n)));
    this.#xid += BigInt(LOG_RECORDS);
  }

  /** A log read by a process that has not seen the last `records` records. */
  async #logRead(records: number): Promise<Step> {
    const end = await this.#end();
    const mark = { ...end, sequence: end.sequence - records };
    return async (store) => {
      const { log, leases } = await store.read([], [], { log: mark });
      if (log?.kind !== 'records' || log.records.length !== records || leases[0] === undefined)
        throw new Error(`expected a lease and ${records} records, got ${JSON.stringify({ log, leases })}`);
    };
  }

  async #end(): Promise<LogMark> {
    const { log } = await (this.#stores[0] as RedisStore).read([], [], { log: 'tail' });
    if (log?.kind !== 'tail' || log.mark === undefined) throw new Error('expected a log with records');
    return log.mark;
  }

  /** Log reads that find no new record, by plain sockets. */
  async #replayed(connections: number, depth: number): Promise<StepCost> {
    const { client: redis, url: redisUrl } = this.#world.redis;
    const mark = await this.#end();
    const replay = await LogReadReplay.open({ redis, redisUrl, group: GROUP, mark }, connections, depth);
    try {
      await replay.run(this.#seconds / 4);
      return await this.#cost(() => replay.run(this.#seconds), READS);
    } finally {
      replay.close();
    }
  }

  /** The log read of a process whose memory lacks one entry. */
  async #readEntry(): Promise<Step> {
    const mark = await this.#end();
    return (store, n) => {
      const task = 1 + (n % ENTRIES);
      return store.read([entryOfTask(task).key], taskTags(task), { log: mark, mint: true });
    };
  }

  /** With tags: what one server pays. Without: what the log's server pays in a Cluster for a write whose tags are elsewhere. */
  async #writes(): Promise<[StepName, StepCost][]> {
    const costs: [StepName, StepCost][] = [];
    for (const [what, tagsOf] of [
      ['', tagsOfWrite],
      [' without tags', () => []],
    ] as const) {
      const first = this.#xid;
      this.#xid += BigInt(WRITES);
      const fence: Step = (store, n) => store.fence(first + BigInt(n), tagsOf(n), { fresh: false });
      const release: Step = (store, n) => store.release(first + BigInt(n), tagsOf(n));
      costs.push([`fence${what}, 64 connections`, await this.#counted(WRITES, fence)]);
      costs.push([`release${what}, 64 connections`, await this.#counted(WRITES, release)]);
    }
    return costs;
  }

  /** Callers call again as soon as they are answered, for a while. */
  async #timed(callers: readonly RedisStore[], step: Step, commands: readonly string[]): Promise<StepCost> {
    let calls = 0;
    const until = async (isOver: () => boolean) => {
      const caller = async (store: RedisStore) => {
        while (!isOver()) await step(store, calls++);
      };
      await Promise.all(callers.map(caller));
    };
    await until(() => calls >= WARM_UP_CALLS);
    const endMs = performance.now() + this.#seconds * 1000;
    return this.#cost(async () => {
      calls = 0;
      await until(() => performance.now() >= endMs);
      return calls;
    }, commands);
  }

  #counted(count: number, step: Step): Promise<StepCost> {
    return this.#cost(() => this.#all(count, step), SCRIPTS);
  }

  async #all(count: number, step: Step): Promise<number> {
    let calls = 0;
    const caller = async (store: RedisStore) => {
      while (calls < count) await step(store, calls++);
    };
    await Promise.all(this.#stores.map(caller));
    return count;
  }

  async #cost(run: () => Promise<number>, commands: readonly string[]): Promise<StepCost> {
    const before = await this.#world.redis.usage();
    const [startedMs, cpuBefore] = [performance.now(), process.cpuUsage()];
    const calls = await run();
    const { user, system } = process.cpuUsage(cpuBefore);
    const elapsedUs = (performance.now() - startedMs) * 1000;
    const after = await this.#world.redis.usage();
    return costOf({ before, after, commands, calls, elapsedUs, callerUs: user + system });
  }
}

function costOf(seen: {
  before: RedisUsage;
  after: RedisUsage;
  /** Whose execution time counts. */
  commands: readonly string[];
  calls: number;
  elapsedUs: number;
  callerUs: number;
}): StepCost {
  const { before, after, calls, elapsedUs, callerUs } = seen;
  const redisUs = after.cpuUs - before.cpuUs;
  const commandCount = Object.values(callsBetween(before, after)).reduce((sum, count) => sum + count, 0);
  return {
    redisUs: redisUs / calls,
    executionUs: executionBetween(before, after, seen.commands) / calls,
    callerUs: callerUs / calls,
    commands: commandCount / calls,
    perSecond: (calls / elapsedUs) * 1e6,
    busy: redisUs / elapsedUs,
  };
}

function fillsOf(n: number, count: number): { key: Key; text: string; ttlMs: number }[] {
  return Array.from({ length: count }, (_, i) => ({ ...entryOfTask(1 + ((n * count + i) % ENTRIES)), ttlMs: TTL_MS }));
}
