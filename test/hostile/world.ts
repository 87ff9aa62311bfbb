/**
 * What is attacked: a production server on a database and a Redis of its own, with a viewer who behaves (ada, 100 tasks). Attackers are made
 * one by one, each a viewer with an address and a project of its own; they share nothing with ada but the server.
 */
import { randomBytes } from 'node:crypto';
import postgres, { type Sql } from 'postgres';
import { newId, type ProjectId, type TaskId, type UserId } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { projectMembers, projects, taskNumbers } from '../../src/domain/projects/project.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import { signToken, type TokenOptions } from '../../src/server/auth/tokens.js';
import { type Reaper, startReaper } from '../chaos/reaper.js';
import { type Fixture, writeFixture } from '../support/fixture.js';
import { type ApiServer, startApiServer } from './server.js';

const SECRET = 'only-for-tests-only-for-tests-only';
const TOKENS: TokenOptions = {
  tokens: { kind: 'secret', secret: SECRET },
  issuer: 'tasks-api',
  audience: 'tasks-api',
};
const TASKS = 100;
const TASKS_OF_ATTACKER = 20;
const WELL_BEHAVED_ADDRESS = '192.0.2.1';

/** A client of the API that is no attacker. */
export interface Viewer {
  readonly userId: UserId;
  readonly token: string;
  readonly address: string;
}

/** A viewer who attacks: the owner of a project without other members. */
export interface Attacker {
  readonly userId: UserId;
  readonly token: string;
  /** Sent as `x-forwarded-for`, which the server believes: one attacker has one address. */
  readonly address: string;
  readonly projectId: ProjectId;
  readonly taskIds: readonly TaskId[];
}

export interface World {
  readonly port: number;
  readonly server: ApiServer;
  readonly redisUrl: string;
  readonly fixture: Fixture;
  /** Ada, who measures. */
  readonly viewer: Viewer;
  /** Writes rows that the API would not, past the API. */
  readonly db: MainDatabase;
  readonly sql: Sql;
  readonly reaper: Reaper;
  newAttacker(): Promise<Attacker>;
  tokenOf(userId: UserId): Promise<string>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  /** A server on which databases may be made. */
  readonly databaseUrl: string;
  /** Variables of the server besides those it must have. */
  readonly env?: Readonly<Record<string, string>>;
  readonly reaper?: Reaper;
}

export async function startWorld({ databaseUrl: server, env, reaper = startReaper() }: WorldOptions): Promise<World> {
  const admin = connect(server);
  const name = `hostile_${randomBytes(4).toString('hex')}`;
  await admin.unsafe(`create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const databaseUrl = url.href;
  await migrateDatabase(databaseUrl);
  const db = openDatabase({ url: databaseUrl });
  const fixture = await db.write.transaction((tx) => writeFixture(tx, TASKS));
  const sql = connect(databaseUrl);
  await sql`analyze`;
  const redis = await startRedis();
  if (redis === undefined) throw new Error(installHint());
  reaper.watch(redis.pid);
  const stopServices = async () => {
    reaper.forget(redis.pid);
    await Promise.all([redis.stop(), db.close(), sql.end({ timeout: 2 })]);
    await admin.unsafe(`drop database if exists ${name} with (force)`);
    await admin.end({ timeout: 2 });
  };
  const required = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url, JWT_SECRET: SECRET, TRUST_PROXY: '127.0.0.1' };
  const api = await startApiServer({ ...required, ...env }, reaper).catch(async (error: unknown) => {
    await stopServices();
    throw error;
  });
  const tokenOf = (userId: UserId) => signToken(TOKENS, userId, '12h');
  let attackers = 0;
  return {
    port: api.port,
    server: api,
    redisUrl: redis.url,
    fixture,
    viewer: { userId: fixture.ada.id, token: await tokenOf(fixture.ada.id), address: WELL_BEHAVED_ADDRESS },
    db,
    sql,
    reaper,
    tokenOf,
    async newAttacker() {
      const n = ++attackers;
      const rows = await db.write.transaction((tx) => writeAttacker(tx, n));
      return { ...rows, token: await tokenOf(rows.userId), address: `198.51.100.${n}` };
    },
    async stop() {
      await api.stop();
      await stopServices();
    },
  };
}

async function writeAttacker(tx: Parameters<typeof writeFixture>[0], n: number) {
  const user = { id: newId('user'), handle: `mallory${n}`, name: `Mallory ${n}` };
  const project = { id: newId('project'), key: `MAL${n}`, name: `Mallory ${n}` };
  await tx.insert(users).values(user);
  await tx.insert(projects).values(project);
  await tx.insert(projectMembers).values({ projectId: project.id, userId: user.id, role: 'OWNER' });
  await tx.insert(taskNumbers).values({ projectId: project.id, last: TASKS_OF_ATTACKER });
  const rows = Array.from({ length: TASKS_OF_ATTACKER }, (_, i) => ({
    id: newId('task'),
    projectId: project.id,
    number: i + 1,
    title: `Task ${i + 1}`,
    creatorId: user.id,
  }));
  await tx.insert(tasks).values(rows);
  return { userId: user.id, projectId: project.id, taskIds: rows.map(({ id }) => id) };
}

/** Comments on a task as large as they may be. @returns their ids */
export async function writeComments(
  { db }: World,
  { taskIds: [taskId], userId }: Attacker,
  { count, body }: { count: number; body: string },
) {
  if (taskId === undefined) throw new Error('the attacker has no task');
  const rows = Array.from({ length: count }, () => ({ id: newId('comment'), taskId, authorId: userId, body }));
  await db.write.transaction(async (tx) => {
    for (const row of rows) await tx.insert(comments).values(row);
  });
  return rows.map(({ id }) => id);
}

function connect(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: { application_name: 'hostile' } });
}
