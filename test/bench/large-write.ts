/**
 * What large writes do to those who read meanwhile: latency, hits, the lease, what Redis and the relay are kept busy with, and
 * whether anybody was answered something old. A report, not a test: `node --import tsx test/bench/large-write.ts` prints Markdown.
 * BENCH_TASKS (100000): tasks imported; BENCH_READERS (8), BENCH_THINK_MS (5): closed loops and their pause; BENCH_ONLY: a pattern
 * of the writes' names.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inArray, sql } from 'drizzle-orm';
import { Redis } from 'ioredis';
import { type App, createApp } from '../../src/app.js';
import { createCore } from '../../src/core.js';
import { fromUuid, newId, toUuid, type UserId } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { githubFile } from '../../src/domain/import/github-issues.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import type { Store } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';

const TASKS = Number(process.env.BENCH_TASKS ?? 100_000);
const READERS = Number(process.env.BENCH_READERS ?? 8);
const ONLY = new RegExp(process.env.BENCH_ONLY ?? '');
const THINK_MS = Number(process.env.BENCH_THINK_MS ?? 5);
const DATABASE_URL = process.env.TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
const REDIS_URL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379';
const ASIDE_MS = 5000;
/** More than the ids of released transactions that a tick is told (MAX_RELEASED_KNOWN). */
const SMALL = 22_000;
/** The tasks that readers read: imported first, changed by every write after. */
const READ_TASKS = Math.min(1000, TASKS / 2);
const SLOW_US = 500;
const LEASE_POLL_MS = 10;

/** The command's own path, in a process of its own as the command is, with the cache's keys of the bench. */
async function importInProcess([databaseUrl, group, ownerId, from, to, suffix]: string[]): Promise<void> {
  const text = JSON.stringify(
    Array.from({ length: Number(to) - Number(from) }, (_, i) => issue(Number(from) + i, suffix ?? '')),
  );
  const store = new RedisStore({ url: REDIS_URL, group: group ?? '' });
  await store.ready();
  const core = createCore({
    databaseUrl: databaseUrl ?? '',
    store: reported(store),
    log: createLog('warn'),
    checkCoverage: false,
  });
  const startedMs = performance.now();
  await runImport({
    file: githubFile(text),
    ownerId: ownerId as UserId,
    projectKey: 'BIG',
    transactor: core.transactor,
  });
  process.send?.({ kind: 'done', ms: performance.now() - startedMs });
  await core.close();
}

function issue(number: number, suffix: string) {
  const at = new Date(Date.UTC(2026, 0, 1) + number * 1000).toISOString();
  return {
    number,
    title: `Task ${number}${suffix}`,
    body: 'Something happens where nothing should.',
    state: 'OPEN',
    author: { login: `user${number % 50}` },
    assignees: [{ login: `user${number % 20}` }],
    labels: [{ name: `label${number % 10}`, color: '112233', description: null }],
    comments: number % 4 === 0 ? [{ author: { login: 'user1' }, body: 'Yes.', createdAt: at, url: '' }] : [],
    createdAt: at,
    updatedAt: at,
    closedAt: null,
    url: `https://github.com/bench/big/issues/${number}`,
  };
}

/** Tells the parent how many tags it fenced and released. */
function reported(store: Store): Store {
  return counting(store, (step, tags, ms) => process.send?.({ kind: 'step', step, tags, ms }));
}

type Step = 'fence' | 'release' | 'unfence' | 'apply';

function counting(store: Store, done: (step: Step, tags: number, ms: number) => void): Store {
  return new Proxy(store, {
    get(target, name) {
      // Whatever it is, it is the store's: the proxy only looks at the calls of four of its methods.
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== 'function') return member;
      if (name !== 'fence' && name !== 'release' && name !== 'unfence' && name !== 'apply') return member.bind(target);
      return async (...args: unknown[]) => {
        const startedMs = performance.now();
        const value = await member.apply(target, args);
        const tags =
          name === 'apply'
            ? (args[0] as { rows: { tags: string[] }[] }).rows.reduce((sum, row) => sum + row.tags.length, 0)
            : (args[1] as string[]).length;
        done(name, tags, performance.now() - startedMs);
        return value;
      };
    },
  });
}

interface Phase {
  readonly name: string;
  readonly section: 'before' | 'during' | 'after';
  readonly tasks: number[];
  readonly lists: number[];
  hits: number;
  calls: number;
  errors: number;
  /** Answers older than what was acknowledged before they were asked for; the age of the oldest such acknowledgement, ms. */
  stale: number;
  staleMs: number;
  longestUnleasedMs: number;
  ticksMs: number;
  tickErrors: number;
  readonly steps: Record<Step, { calls: number; tags: number; maxMs: number }>;
}

function phase(name: string, section: Phase['section']): Phase {
  const step = () => ({ calls: 0, tags: 0, maxMs: 0 });
  return {
    name,
    section,
    tasks: [],
    lists: [],
    hits: 0,
    calls: 0,
    errors: 0,
    stale: 0,
    staleMs: 0,
    longestUnleasedMs: 0,
    ticksMs: 0,
    tickErrors: 0,
    steps: { fence: step(), release: step(), unfence: step(), apply: step() },
  };
}

async function main(): Promise<void> {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  const group = `bench-${name.slice(6)}`;
  const server = postgresClient(DATABASE_URL, { max: 1 });
  await server.unsafe(`create database ${name}`);
  const url = new URL(DATABASE_URL);
  url.pathname = `/${name}`;
  const redis = new Redis(REDIS_URL);
  const [, slowerThan] = (await redis.config('GET', 'slowlog-log-slower-than')) as [string, string];
  try {
    await migrateDatabase(url.href);
    await redis.config('SET', 'slowlog-log-slower-than', SLOW_US);
    await bench(url.href, group, redis);
  } finally {
    await redis.config('SET', 'slowlog-log-slower-than', slowerThan);
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `*{${group}*`, 'COUNT', 1000);
      cursor = next;
      if (keys.length > 0) await redis.unlink(keys);
    }
    redis.disconnect();
    await server.unsafe(`drop database if exists ${name} with (force)`);
    await server.end();
  }
}

async function bench(databaseUrl: string, group: string, redis: Redis): Promise<void> {
  const raw = postgresClient(databaseUrl, { max: 1, statementTimeoutMs: 600_000 });
  const owner = newId('user');
  await raw`insert into users (id, handle, name) values (${toUuid(owner)}, 'ada', 'Ada')`;
  let now = phase('start', 'before');

  const store = new RedisStore({ url: REDIS_URL, group });
  const watch = new RedisStore({ url: REDIS_URL, group });
  await Promise.all([store.ready(), watch.ready()]);
  const count = (step: Step, tags: number, ms: number) => {
    const total = now.steps[step];
    total.calls++;
    total.tags += tags;
    total.maxMs = Math.max(total.maxMs, ms);
  };
  const app = await createApp({
    databaseUrl,
    store: counting(store, count),
    log: createLog('silent'),
    checkCoverage: false,
    production: true,
    verifyToken: async () => ({
      subject: owner,
      scopes: [],
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      profile: {},
    }),
    events: {
      outcome: ({ kind }) => {
        now.calls++;
        if (kind === 'hit' || kind === 'joined') now.hits++;
      },
    },
  });
  const tick = app.relay.tick.bind(app.relay);
  app.relay.tick = async () => {
    const startedMs = performance.now();
    try {
      return await tick();
    } catch (error) {
      now.tickErrors++;
      throw error;
    } finally {
      now.ticksMs = Math.max(now.ticksMs, performance.now() - startedMs);
    }
  };

  const importing = async (from: number, to: number, suffix: string) => {
    const args = ['import', databaseUrl, group, owner, String(from), String(to), suffix];
    const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(import.meta.url), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let ms = 0;
    child.on('message', (message: { kind: string; ms: number; step: Step; tags: number }) => {
      if (message.kind === 'done') ms = message.ms;
      else count(message.step, message.tags, message.ms);
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`the import ended with ${code}`);
    return ms;
  };

  await importing(1, READ_TASKS + 1, '');
  const read = await raw<{ id: string; version: number }[]>`select id, version from tasks`;
  const state = new Readers(
    app,
    read.map(({ id, version }) => ({ id: fromUuid('task', id), version })),
    () => now,
  );
  /** The versions that everybody must see from now on. */
  const acknowledged = async () => {
    const atMs = performance.now();
    const rows = await raw<{ id: string; version: number }[]>`
      select id, version from tasks where id = any(${read.map(({ id }) => id)}::uuid[])`;
    state.acknowledge(rows, atMs);
  };

  let stopped = false;
  const leaseWatch = (async () => {
    let lastMs = performance.now();
    while (!stopped) {
      const head = await watch.head().catch(() => undefined);
      const atMs = performance.now();
      if ((head?.leaseLeftMs ?? 0) > 0) lastMs = atMs;
      else now.longestUnleasedMs = Math.max(now.longestUnleasedMs, atMs - lastMs);
      await pause(LEASE_POLL_MS);
    }
  })();
  const readers = state.run();

  const report: string[] = [];
  const measure = async (title: string, write: () => Promise<number | undefined>) => {
    if (!ONLY.test(title)) return;
    const sections: Phase[] = [];
    const enter = (section: Phase['section']) => {
      now = phase(title, section);
      sections.push(now);
    };
    const [mark] = await raw<{ seq: string }[]>`select coalesce(max(seq), 0)::text as seq from cache_outbox`;
    const slowFrom = ((await redis.slowlog('GET', 1)) as [number][])[0]?.[0] ?? -1;
    // By hand: some servers that benches run on have no autovacuum, and plans without statistics are not what is measured.
    for (const table of ['tasks', 'task_labels', 'comments', 'cache_outbox'])
      await raw.unsafe(`vacuum analyze ${table}`);
    enter('before');
    await pause(ASIDE_MS);
    enter('during');
    const startedMs = performance.now();
    const ownMs = await write();
    const ms = ownMs ?? performance.now() - startedMs;
    enter('after');
    await acknowledged();
    await pause(ASIDE_MS);
    const [outbox] = await raw<{ rows: number; tags: number; bytes: number }[]>`
      select count(*)::int as rows, coalesce(sum(cardinality(tags)), 0)::int as tags,
        coalesce(sum(pg_column_size(cache_outbox.*)), 0)::int as bytes
      from cache_outbox where seq > ${mark?.seq ?? '0'}::bigint`;
    const slow = ((await redis.slowlog('GET', -1)) as [number, number, number, string[]][]).filter(
      ([id, , , args]) => id > slowFrom && args.some((arg) => arg.includes(group)),
    );
    const slowest = slow.reduce((max, [, , us]) => Math.max(max, us), 0);
    const found = lines(title, ms, sections, {
      ...(outbox as { rows: number; tags: number; bytes: number }),
      slowest,
    });
    console.error(found.join('\n'));
    report.push(...found);
  };

  const ids = async (limit: number) =>
    (await raw<{ id: string }[]>`select id from tasks order by number limit ${limit}`).map(({ id }) =>
      fromUuid('task', id),
    );
  /** In statements whose rows the triggers name one by one. */
  const transact = async (limit: number) => {
    const all = await ids(limit);
    const startedMs = performance.now();
    await app.transactor.transact(async (tx) => {
      for (let i = 0; i < all.length; i += 500) {
        await tx
          .update(tasks)
          .set({ priority: 'LOW', version: sql`version + 1` })
          .where(inArray(tasks.id, all.slice(i, i + 500)));
      }
    });
    return performance.now() - startedMs;
  };
  const timed = async (work: () => Promise<unknown>) => {
    const startedMs = performance.now();
    await work();
    return performance.now() - startedMs;
  };

  await measure(`import of ${TASKS} tasks`, () => importing(1, TASKS + 1, ' again'));
  await measure('one UPDATE of all tasks, raw SQL', () =>
    timed(() => raw`update tasks set priority = 'HIGH', version = version + 1`),
  );
  await measure('all tasks in UPDATEs of 400, one transaction, raw SQL', async () => {
    const all = await ids(TASKS);
    return timed(() =>
      raw.begin(async (tx) => {
        for (let i = 0; i < all.length; i += 400) {
          await tx`update tasks set priority = 'LOW', version = version + 1
            where id = any(${all.slice(i, i + 400).map(toUuid)}::uuid[])`;
        }
      }),
    );
  });
  await measure('transact() of 10 000 tasks', () => transact(10_000));
  await measure('transact() of 1 900 tasks (named one by one)', () => transact(1900));
  /** Each of another task, so that what is measured is not one row's chain of versions. */
  const small = async (count: number) => {
    await raw.unsafe(`do $$ declare of uuid[] := array(select id from tasks order by number limit ${count}); begin
      for i in 1..cardinality(of) loop
        update tasks set version = version + 1 where id = of[i];
        commit;
      end loop;
    end $$`);
  };
  await measure('5 000 transactions of 1 task, raw SQL', () => timed(() => small(5000)));
  await measure(`${SMALL} transactions of 1 task, raw SQL, while another writing transaction stands open`, () =>
    timed(async () => {
      const holder = postgresClient(databaseUrl, { max: 1 });
      await holder.begin(async (tx) => {
        await tx`select pg_current_xact_id()`;
        await small(SMALL);
        await pause(ASIDE_MS);
      });
      await holder.end();
    }),
  );
  await measure('one DELETE of half of the tasks, raw SQL', () =>
    timed(
      () => raw`delete from tasks where id in (select id from tasks order by number limit ${Math.floor(TASKS / 2)})`,
    ),
  );

  stopped = true;
  state.stop();
  await Promise.all([leaseWatch, readers]);
  const [size] = await raw<{ outbox: string }[]>`
    select pg_size_pretty(pg_total_relation_size('cache_outbox')) as outbox`;
  await Promise.all([raw.end(), watch.close()]);
  await app.close();
  console.log([...HEADER, ...report, '', `Outbox at the end: ${size?.outbox}.`].join('\n'));
}

const HEADER = [
  '| write | s | tags fenced / released / applied | outbox rows, tags, kB | tick max, ms (failed) | no lease, max ms | Redis script max, ms | readers | p50 task / list | p99 task / list | max | hits | errors | stale (until) |',
  '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|',
];

function lines(
  title: string,
  ms: number,
  sections: readonly Phase[],
  outbox: { rows: number; tags: number; bytes: number; slowest: number },
): string[] {
  const written = sections.filter(({ section }) => section !== 'before');
  const tagsOf = (step: Step) => written.reduce((total, { steps }) => total + steps[step].tags, 0);
  return sections.map((one, i) => {
    const both = (of: (sorted: number[]) => number) =>
      [one.tasks, one.lists].map((all) => of(all).toFixed(1)).join(' / ');
    const head = [
      i === 0 ? title : '',
      one.section === 'during' ? (ms / 1000).toFixed(2) : '',
      i === 0 ? `${tagsOf('fence')} / ${tagsOf('release')} / ${tagsOf('apply')}` : '',
      i === 0 ? `${outbox.rows}, ${outbox.tags}, ${Math.round(outbox.bytes / 1024)}` : '',
      `${one.ticksMs.toFixed(0)} (${one.tickErrors})`,
      one.longestUnleasedMs.toFixed(0),
      i === 0 ? (outbox.slowest === 0 ? `< ${SLOW_US / 1000}` : (outbox.slowest / 1000).toFixed(1)) : '',
    ];
    const tail = [
      one.section,
      both((all) => quantile(all, 0.5)),
      both((all) => quantile(all, 0.99)),
      Math.max(0, ...one.tasks.map(Number), ...one.lists.map(Number)).toFixed(0),
      one.calls === 0 ? '–' : `${((100 * one.hits) / one.calls).toFixed(1)} %`,
      String(one.errors),
      one.stale === 0 ? '0' : `${one.stale} (${one.staleMs.toFixed(0)} ms)`,
    ];
    return `| ${[...head, ...tail].join(' | ')} |`;
  });
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

/** Closed loops over single tasks and lists; each answer is held against what was acknowledged before it was asked for. */
class Readers {
  /** By task: the version that must be seen, and since when; Infinity: it is gone. */
  #floor: ReadonlyMap<string, { version: number; sinceMs: number }>;
  readonly #ids: readonly string[];
  #stopped = false;

  constructor(
    private readonly app: App,
    known: readonly { id: string; version: number }[],
    private readonly phaseNow: () => Phase,
  ) {
    this.#ids = known.map(({ id }) => id);
    this.#floor = new Map(known.map(({ id, version }) => [id, { version, sinceMs: 0 }]));
  }

  acknowledge(rows: readonly { id: string; version: number }[], sinceMs: number): void {
    const found = new Map<string, number>(rows.map(({ id, version }) => [fromUuid('task', id), version]));
    this.#floor = new Map(this.#ids.map((id) => [id, { version: found.get(id) ?? Infinity, sinceMs }]));
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: READERS }, (_, i) => this.#loop(i)));
  }

  async #loop(seed: number): Promise<void> {
    for (let n = seed; !this.#stopped; n++) {
      if (n % 2 === 0) await this.#task(this.#ids[(n * 7919) % this.#ids.length] as string);
      else await this.#list(n % 6 === 1 ? '' : `, filter: { status: { eq: ${n % 4 === 1 ? 'TODO' : 'IN_PROGRESS'} } }`);
      await pause(THINK_MS);
    }
  }

  async #task(id: string): Promise<void> {
    await this.#ask('tasks', `query ($id: ID!) { task(id: $id) { id version title assignee { name } } }`, { id });
  }

  async #list(filter: string): Promise<void> {
    const query = `{ tasks(first: 20${filter}, orderBy: [{ field: CREATED_AT, direction: ASC }]) {
      nodes { id version title status project { key } assignee { name } } } }`;
    await this.#ask('lists', query);
  }

  async #ask(kind: 'tasks' | 'lists', query: string, variables: { id?: string } = {}): Promise<void> {
    const startedMs = performance.now();
    const floors = this.#floor; // what was acknowledged before this began
    const response = await this.app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { authorization: 'Bearer x' },
      payload: { query, variables },
    });
    const into = this.phaseNow();
    into[kind].push(performance.now() - startedMs);
    const { data, errors } = response.json();
    if (errors !== undefined) {
      into.errors++;
      if (into.errors === 1) console.error(into.name, into.section, JSON.stringify(errors).slice(0, 300));
      return;
    }
    const seen: { id: string; version: number }[] =
      kind === 'tasks' ? (data.task ? [data.task] : []) : data.tasks.nodes;
    for (const { id, version } of seen) {
      const floor = floors.get(id);
      if (floor === undefined || version >= floor.version || startedMs < floor.sinceMs) continue;
      into.stale++;
      into.staleMs = Math.max(into.staleMs, performance.now() - floor.sinceMs);
    }
    const missing = variables.id !== undefined && seen.length === 0;
    if (missing && floors.get(variables.id as string)?.version !== Infinity && into.section !== 'during') into.errors++;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (process.argv[2] === 'import') await importInProcess(process.argv.slice(3));
else await main();
