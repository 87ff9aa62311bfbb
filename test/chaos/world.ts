/**
 * What faults act on and readers read: a database with three projects, its API processes, the Redis behind them, and the
 * history of it all. Each topology has a world of its own.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres, { type Sql } from 'postgres';
import { newId, type ProjectId, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { signToken, type TokenOptions } from '../../src/server/auth/tokens.js';
import { ApiChild } from './child.js';
import type { History } from './history.js';
import { chaosProxy } from './proxy.js';
import type { Random } from './random.js';
import type { Reaper } from './reaper.js';
import { startTopology, type Topology, type TopologyKind } from './topology.js';
import { sleep, until } from './wait.js';

export const CHILDREN = 3;
/** Of the keys in Redis. */
const GROUP = 'chaos';
const TASKS_PER_PROJECT = 40;
const UNIT_ROWS = 9;
export const UNITS_EACH = 1000;
export const STATUSES = ['BACKLOG', 'TODO', 'IN_PROGRESS', 'IN_REVIEW', 'DONE', 'CANCELED'] as const;

const TOKENS: TokenOptions = {
  tokens: { kind: 'secret', secret: 'only-for-tests-only-for-tests-only' },
  issuer: 'tasks-api',
  audience: 'tasks-api',
};

export interface Settings {
  /** What of the engine is switched off. */
  readonly breaks: 'fence' | undefined;
  /** Whether queries also ask for snapshots, and check those that say that they are. */
  readonly snapshots: boolean;
  readonly nearCache: boolean;
}

/** Its tasks, in the order of the lists. */
export interface ProjectOfTasks {
  readonly key: string;
  readonly id: ProjectId;
  readonly tasks: readonly TaskId[];
}

export interface World {
  readonly kind: TopologyKind;
  readonly settings: Settings;
  readonly topology: Topology;
  readonly children: readonly ApiChild[];
  /** Straight to Postgres, and not as `tasks-api`. */
  readonly sql: Sql;
  readonly database: string;
  readonly databaseUrl: string;
  readonly history: History;
  readonly random: Random;
  readonly headers: Readonly<Record<string, string>>;
  /** Written by mutations. */
  readonly ops: ProjectOfTasks;
  /** Written by SQL around the API. */
  readonly raw: ProjectOfTasks;
  /** Written by moves of units, two rows and the ledger at a time. The ledger is the first. */
  readonly units: ProjectOfTasks;
  readonly logDir: string;
  /** Of processes that died by themselves. */
  readonly crashes: string[];
  stop(): Promise<void>;
}

export async function startWorld(options: {
  kind: TopologyKind;
  settings: Settings;
  /** Of the server: the world makes a database of its own there. */
  databaseUrl: string;
  reaper: Reaper;
  random: Random;
  history: History;
}): Promise<World> {
  const { kind, settings, databaseUrl, reaper, random, history } = options;
  const database = `chaos_${kind}_${randomBytes(4).toString('hex')}`;
  const admin = connect(databaseUrl, 1);
  await admin.unsafe(`create database ${database}`);
  await admin.end();
  const direct = new URL(databaseUrl);
  direct.pathname = `/${database}`;
  await migrateDatabase(direct.href);
  const sql = connect(direct.href, 6);
  const { ada, ops, raw, units } = await populate(sql, history);
  const logDir = await mkdtemp(join(tmpdir(), `tasks-chaos-logs-${kind}-`));

  const topology = await startTopology(kind, { children: CHILDREN, reaper });
  const children: ApiChild[] = [];
  const crashes: string[] = [];
  const onCrash = (report: string) => crashes.push(report);
  for (let number = 0; number < CHILDREN; number++) {
    const postgresProxy = await chaosProxy(() => ({ host: '127.0.0.1', port: Number(direct.port) }));
    const url = new URL(direct);
    url.port = String(postgresProxy.port);
    const child = {
      databaseUrl: url.href,
      store: topology.addressFor(number),
      group: GROUP,
      tokens: TOKENS,
      breaks: settings.breaks,
      nearCache: settings.nearCache,
    };
    children.push(
      new ApiChild({ number, child, redisProxies: topology.proxiesOf(number), postgresProxy, reaper, logDir, onCrash }),
    );
  }
  await Promise.all(children.map((child) => child.start()));
  return {
    kind,
    settings,
    topology,
    children,
    sql,
    database,
    databaseUrl: direct.href,
    history,
    random,
    headers: { authorization: `Bearer ${await signToken(TOKENS, ada, '12h')}` },
    ops,
    raw,
    units,
    logDir,
    crashes,
    async stop() {
      await Promise.all(children.map((child) => child.kill()));
      await Promise.all([...children.map(({ postgresProxy }) => postgresProxy.close()), topology.stop()]);
      await sql.end({ timeout: 2 });
    },
  };
}

/** Everything is there and unhurt. @throws when that takes too long */
export async function whole(world: World): Promise<void> {
  for (const child of world.children) child.resume();
  for (const node of world.topology.nodes) node.resume();
  await world.topology.whole();
  await until('Postgres answers', async () => (await world.sql`select 1 as one`).length === 1);
  await sleep(0);
}

function connect(url: string, max: number): Sql {
  return postgres(url, {
    max,
    connect_timeout: 5,
    onnotice: () => {},
    // Our own writes must not hang where the API's shall.
    connection: { application_name: 'chaos', synchronous_commit: 'local', statement_timeout: 30_000 },
  });
}

async function populate(sql: Sql, history: History) {
  const person = (handle: string) => ({ id: newId('user'), handle, name: handle });
  const [ada, bob] = [person('ada'), person('bob')] as const;
  await sql`insert into users ${sql([ada, bob].map((user) => ({ ...user, id: toUuid(user.id) })))}`;
  const project = async (key: string, titles: readonly string[]): Promise<ProjectOfTasks> => {
    const id = newId('project');
    const projectId = toUuid(id);
    await sql`insert into projects ${sql({ id: projectId, key, name: key })}`;
    for (const user of [ada, bob]) {
      await sql`insert into project_members ${sql({ project_id: projectId, user_id: toUuid(user.id), role: 'OWNER' })}`;
    }
    await sql`insert into task_numbers ${sql({ project_id: projectId, last: titles.length })}`;
    const label = { id: toUuid(newId('label')), project_id: projectId, name: 'bug', color: '#112233' };
    await sql`insert into labels ${sql(label)}`;
    const tasks = titles.map((title, i) => ({ id: newId('task'), title, number: i + 1 }));
    await sql`insert into tasks ${sql(
      tasks.map(({ id: taskId, title, number }) => ({
        id: toUuid(taskId),
        project_id: projectId,
        number,
        title,
        status: 'TODO',
        creator_id: toUuid(ada.id),
        assignee_id: toUuid(number % 2 === 0 ? ada.id : bob.id),
        created_at: new Date(Date.UTC(2026, 0, 1) + number * 60_000).toISOString(),
      })),
    )}`;
    const bearing = tasks.map((task) => ({ project_id: projectId, task_id: toUuid(task.id), label_id: label.id }));
    await sql`insert into task_labels ${sql(bearing)}`;
    for (const task of tasks) history.addRow(task.id, key === 'RAW' ? 'bare' : 'fenced', 1, 'TODO');
    return { key, id, tasks: tasks.map((task) => task.id) };
  };
  const named = (name: string) => Array.from({ length: TASKS_PER_PROJECT }, (_, i) => `${name} ${i + 1}`);
  const ops = await project('OPS', named('Task'));
  const raw = await project('RAW', named('Raw'));
  const units = await project('UNITS', ['1', ...Array.from({ length: UNIT_ROWS }, () => String(UNITS_EACH))]);
  return { ada: ada.id as UserId, ops, raw, units };
}
