/** A user's way through the API, from an empty database to the last list: for tests that compare two databases, or two ways to one. */
import { expect } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { githubFile } from '../../src/domain/import/github-issues.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { openDatabase } from '../../src/engine/postgres/database.js';
import { dataOf, eventually, type TestAppOptions } from './app.js';
import { type Fixture, fixture } from './fixture.js';
import { type LiveApp, liveApp } from './live.js';
import { connect } from './subscriber.js';

const TASK =
  'identifier title status priority dueDate description createdAt completedAt version labels { nodes { name } }';
const EVERYTHING = `{
  projects { nodes { key name createdAt stats { total overdue completedLast7Days } burndown(days: 3) { date remaining completed } } }
  ten: tasks(filter: { title: { eq: "One of ten" } }) { totalCount }
  all: tasks(first: 50, filter: { title: { neq: "One of ten" } }, orderBy: [{ field: CREATED_AT, direction: ASC }]) { totalCount nodes { ${TASK} commentCount } }
  due: tasks(first: 5, filter: { dueDate: { gte: "2026-06-05", lt: "2026-07-01" } }, orderBy: [{ field: DUE_DATE, direction: ASC }]) { nodes { ${TASK} } }
  old: tasks(first: 5, filter: { createdAt: { lt: "2026-01-01T00:03:00Z" } }, orderBy: [{ field: CREATED_AT, direction: DESC }]) { nodes { ${TASK} } }
  capitals: tasks(filter: { title: { containsIgnoreCase: "éTÉ" } }) { nodes { title } }
  found: tasks(filter: { search: "boilers" }) { nodes { title } }
}`;

const ISSUES = JSON.stringify([
  {
    number: 1,
    title: 'Imported\\task',
    body: 'It was 5 June.',
    state: 'CLOSED',
    labels: [{ name: 'bug', color: '1d76db', description: '' }],
    assignees: [{ login: 'ada' }],
    author: { login: 'hubot' },
    comments: [{ author: { login: 'ada' }, body: 'A comment', createdAt: '2026-06-05T01:00:00Z' }],
    createdAt: '2026-06-05T00:00:01Z',
    updatedAt: '2026-07-02T00:00:00Z',
    closedAt: '2026-07-01T23:59:59Z',
    url: 'https://github.com/someone/thing/issues/1',
  },
]);

/** @returns all responses as text, with ids numbered and the present time replaced: the same for two databases that behave alike */
export async function journey(databaseUrl: string, options: TestAppOptions = {}): Promise<string> {
  await migrateDatabase(databaseUrl);
  const app = await liveApp({ ...options, databaseUrl });
  try {
    const f = await fixture(app);
    const said: unknown[] = [await changes(app, f)];
    await runImport({ file: githubFile(ISSUES), ownerId: f.ada.id, transactor: app.transactor });
    for (let i = 0; i < 2; i++) said.push(dataOf(await app.ask(EVERYTHING, { as: f.ada.id })));
    said.push(await pages(app, f));
    said.push(await snapshot(app, f));
    return comparable(said);
  } finally {
    await app.close();
  }
}

/** What mutations answer, and the events that a subscriber receives. */
async function changes(app: LiveApp, f: Fixture): Promise<unknown[]> {
  const mutate = async (name: string, input: object, selection = `task { id ${TASK} }`) => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
    const document = `mutation ($input: ${type}!) { ${name}(input: $input) { ${selection} errors { code message } } }`;
    return dataOf(await app.ask(document, { as: f.ada.id, variables: { input } }))[name];
  };
  const connection = connect(app, f.ada.id);
  const subscription = await connection.subscribe({ projectId: f.ops.id });
  const created = await mutate('createTask', {
    projectId: f.ops.id,
    title: "L'été, a \\boiler\\ and 'quotes'",
    description: '\\x41 NULL',
    dueDate: '2026-06-05',
    labelIds: [f.bug.id],
  });
  expect(created.errors).toEqual([]);
  const { id } = created.task;
  const answers = [
    created,
    await mutate('updateTask', { id, dueDate: '2026-06-30', priority: 'HIGH' }),
    await mutate('completeTask', { id }),
    await mutate('createComment', { taskId: id, body: 'Été' }, 'comment { body }'),
  ];
  const title = 'One of ten';
  const many = await Promise.all(
    Array.from({ length: 10 }, () => mutate('createTask', { projectId: f.ops.id, title }, 'task { title }')),
  );
  await bySql(app, id);
  await eventually(() => expect(subscription.changes.filter((change) => change.taskId === id)).toHaveLength(5));
  const events = subscription.changes.filter((change) => change.taskId === id);
  await connection.close();
  return [answers, many, events.map(({ type, at, changedFields }) => ({ type, at, changedFields }))];
}

/** Around the API: triggers name the row, whatever the session of the writer has set. */
async function bySql(app: LiveApp, id: string): Promise<void> {
  const db = openDatabase({ url: app.databaseUrl });
  const changed = `update public.tasks set title = 'Changed by psql: été', version = version + 1 where id = '${toUuid(id as `task_${string}`)}'`;
  await db.write.execute(changed);
  await db.close();
}

/** Each page from the cursor of the one before it. */
async function pages(app: LiveApp, f: Fixture): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const field of ['CREATED_AT', 'DUE_DATE', 'UPDATED_AT', 'TITLE']) {
    let after: string | null = null;
    do {
      const document = `query ($after: String) {
        tasks(first: 4, after: $after, filter: { project: { key: { in: ["OPS", "WEB"] } }, title: { neq: "One of ten" } }, orderBy: [{ field: ${field}, direction: ASC }]) {
          nodes { identifier title } pageInfo { hasNextPage endCursor } } }`;
      const { tasks } = dataOf(await app.ask(document, { as: f.ada.id, variables: { after } }));
      found.push([field, tasks.nodes]);
      after = tasks.pageInfo.hasNextPage ? tasks.pageInfo.endCursor : null;
    } while (after !== null);
  }
  return found;
}

async function snapshot(app: LiveApp, f: Fixture): Promise<unknown> {
  const headers = { 'x-consistency': 'snapshot' };
  return dataOf(await app.ask(EVERYTHING, { as: f.ada.id, headers }));
}

function comparable(said: unknown): string {
  const ids = new Map<string, string>();
  const present = new Date().toISOString().slice(0, 10);
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10); // where midnight passes meanwhile
  return JSON.stringify(said, null, 1)
    .replaceAll(/(task|project|user|label|comment)_[0-9a-z]{26}/g, (id) => {
      if (!ids.has(id)) ids.set(id, `id ${ids.size}`);
      return ids.get(id) as string;
    })
    .replaceAll(new RegExp(`(${present}|${yesterday})T[\\d:.]+Z`, 'g'), 'now');
}
