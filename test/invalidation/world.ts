/** What the tests of invalidation share: an app with its fixture, a second one beside it, and a look into Postgres and Redis. */
import { Redis } from 'ioredis';
import type { Sql } from 'postgres';
import { expect, inject } from 'vitest';
import { toUuid, type UserId } from '../../src/db/ids.js';
import type { Outcome, Tag } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, eventually, type TestApp, type TestAppOptions, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

export interface World {
  readonly app: TestApp;
  readonly f: Fixture;
  /** A bare connection, as psql has one: what it writes goes around the API. */
  readonly sql: Sql;
  readonly redis: GroupKeys;
  /** Another process, as far as the cache can tell: the same database and Redis, nothing else in common. */
  second(options?: TestAppOptions): Promise<TestApp>;
  close(): Promise<void>;
}

export async function world(options: TestAppOptions = {}): Promise<World> {
  const redisUrl = options.redisUrl ?? inject('redisUrl');
  const app = await testApp({ ...options, redisUrl });
  const { databaseUrl, group } = app;
  const sql = postgresClient(databaseUrl, { max: 3 });
  const redis = new GroupKeys(redisUrl, group);
  const others: TestApp[] = [];
  const f = await fixture(app);
  const made = {
    app,
    f,
    sql,
    redis,
    async second(more: TestAppOptions = {}) {
      const other = await testApp({ redisUrl, databaseUrl, ...more, group });
      others.push(other);
      return other;
    },
    async close() {
      await Promise.all(others.map((other) => other.close()));
      await Promise.all([sql.end({ timeout: 5 }), redis.close()]);
      await app.close();
    },
  };
  await relayed(made);
  return made;
}

/** The keys of one group in Redis. */
export class GroupKeys {
  readonly client: Redis;
  readonly #group: string;

  constructor(url: string, group: string) {
    this.client = new Redis(url, { retryStrategy: () => 50 });
    this.client.on('error', () => {}); // outages are the subject of some tests
    this.#group = `{${group}}`;
  }

  name(key: 'pos' | 'rel'): string {
    return `${key}:${this.#group}`;
  }

  /** The lease belongs to the server's present run. */
  leaseName(): Promise<string> {
    return this.#ofRun('ok');
  }

  async barrier(): Promise<string | null> {
    return this.client.get(await this.#ofRun('bar'));
  }

  async #ofRun(key: 'ok' | 'bar'): Promise<string> {
    return `${key}:${this.#group}:${/run_id:(\w+)/.exec(await this.client.info('server'))?.[1]}`;
  }

  tagName(tag: Tag): string {
    return `t:${this.#group}:${tag}`;
  }

  tag(tag: Tag): Promise<string | null> {
    return this.client.get(this.tagName(tag));
  }

  async lease(): Promise<string | null> {
    return this.client.get(await this.leaseName());
  }

  async position(): Promise<{ xid: bigint; purge: string } | undefined> {
    const [xid, purge] = (await this.client.get(this.name('pos')))?.split(':') ?? [];
    return xid === undefined || purge === undefined ? undefined : { xid: BigInt(xid), purge };
  }

  /** The tags that hold a fence now. */
  async fenced(): Promise<string[]> {
    const prefix = `t:${this.#group}:`;
    const keys = await this.client.keys(`${prefix.replace(/[[\]?*\\]/g, '\\$&')}*`);
    if (keys.length === 0) return [];
    const values = await this.client.mget(keys);
    return keys.filter((_, i) => values[i]?.startsWith('!')).map((key) => key.slice(prefix.length));
  }

  /**
   * What all keys hold, those of rate limits included, but for what every tick of a relay renews and statistics of calls that ended otherwise
   * than by `bypass`.
   */
  async all(): Promise<Map<string, string>> {
    const group = this.#group.slice(1, -1);
    const found = new Map<string, string>();
    for (const name of await this.client.keys(`*${group}*`)) {
      if (/^(pos|rel|ok|bar|fen|log):/.test(name)) continue;
      if (!name.startsWith('stat:')) found.set(name, (await this.client.dumpBuffer(name)).toString('latin1'));
      else
        for (const [call, count] of Object.entries(await this.client.hgetall(name))) {
          if (call.startsWith('Project.stats ')) found.set(`${name} ${call}`, count);
        }
    }
    return found;
  }

  async close(): Promise<void> {
    this.client.disconnect();
  }
}

/** Waits until the relay has brought everything that is committed now, and the lease stands. */
export async function relayed({ sql, redis }: Pick<World, 'sql' | 'redis'>): Promise<void> {
  const [now] = await sql<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
  await eventually(async () => {
    expect((await redis.position())?.xid).toBeGreaterThan(BigInt(now?.xid ?? 0));
    expect(await redis.lease()).not.toBeNull();
  });
}

/** Waits until every writer has released. */
export async function released({ redis }: Pick<World, 'redis'>): Promise<void> {
  await eventually(async () => expect(await redis.fenced()).toEqual([]));
}

/** Ticks until the store applies one: a lease that was just renewed is left alone. */
export async function ticked(app: TestApp): Promise<{ more: boolean }> {
  let more = false;
  await eventually(async () => {
    const tick = await app.relay.tick();
    expect(tick.result).toBe('applied');
    more = tick.more;
  });
  return { more };
}

const TASK = 'query ($id: ID!) { task(id: $id) { title version } }';

export interface SeenTask {
  readonly title: string;
  readonly version: number;
}

/** The task as the API shows it. */
export async function taskOf(app: TestApp, id: string, as: UserId): Promise<SeenTask> {
  return dataOf(await app.ask(TASK, { as, variables: { id } })).task;
}

const RENAME = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { version } errors { code } } }';

/** Gives the task another title. Answers its new version. */
export async function rename(app: TestApp, input: { id: string; title: string }, as: UserId): Promise<number> {
  const { updateTask } = dataOf(await app.ask(RENAME, { as, variables: { input } }));
  expect(updateTask.errors).toEqual([]);
  return updateTask.task.version;
}

/** Renames by a plain UPDATE from outside of the API. */
export async function renameBySql(sql: Sql, id: string, title: string): Promise<void> {
  await sql`update tasks set title = ${title}, version = version + 1 where id = ${toUuid(id as `task_${string}`)}`;
}

/** How the last cached call of that name ended; a hit is one wherever the entry was. */
export function lastOutcome(app: TestApp, name: string): Pick<Outcome, 'kind' | 'reason'> | undefined {
  const outcome = app.outcomes.findLast((one) => one.name === name);
  return (
    outcome && {
      kind: outcome.kind === 'near-hit' ? 'hit' : outcome.kind,
      ...(outcome.reason && { reason: outcome.reason }),
    }
  );
}

/** Reads until the answer comes from the cache. */
export async function served(app: TestApp, id: string, as: UserId): Promise<SeenTask> {
  let task: SeenTask | undefined;
  await eventually(async () => {
    task = await taskOf(app, id, as);
    expect(lastOutcome(app, 'Task')).toEqual({ kind: 'hit' });
  });
  return task as SeenTask;
}
