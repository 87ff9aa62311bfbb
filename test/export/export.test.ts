/** A project leaves by a signed address or the command, and comes back as it was. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { and, eq } from 'drizzle-orm';
import fastify from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, type TaskId, type UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { ExportSnapshot } from '../../src/domain/export/export.repository.js';
import { ExportLinks } from '../../src/domain/export/export-links.js';
import { type ExportFormat, exportText } from '../../src/domain/export/export-text.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { openImport } from '../../src/domain/import/import-file.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projectMembers } from '../../src/domain/projects/project.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { taskRelations } from '../../src/domain/tasks/task-relation.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { createLog } from '../../src/platform/log.js';
import { type OpenExport, serveExports } from '../../src/server/http/export-route.js';
import { dataOf, eventually, type TestApp, TOKENS, testApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';

const EXPORT = `mutation ($input: ExportProjectInput!) {
  exportProject(input: $input) { url expiresAt errors { __typename code path } }
}`;

let app: TestApp;
let second: TestApp;
let f: Fixture;
let copy: TestDatabase;
let copied: MainDatabase;
let folder: string;

beforeAll(async () => {
  app = await testApp();
  second = await testApp({ databaseUrl: app.databaseUrl, group: app.group });
  f = await fixture(app, 6);
  await app.transactor.transact((tx) => writeDetails(tx));
  copy = await createDatabase();
  copied = openDatabase({ url: copy.url });
  folder = await mkdtemp(join(tmpdir(), 'export-'));
});

afterAll(async () => {
  await copied?.close();
  await copy?.drop();
  await second?.close();
  await app?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Something in every field that an export holds. */
async function writeDetails(tx: Transaction): Promise<void> {
  const [first, middle, last] = [f.opsTasks[0], f.opsTasks[2], f.opsTasks[5]];
  if (!first || !middle || !last) throw new Error('expected six tasks');
  const at = '2026-03-01T10:00:00.123Z';
  const done = { status: 'DONE', completedAt: at, priority: 'URGENT', dueDate: '2026-12-24' } as const;
  const plan = { startDate: '2026-12-01', estimate: 8, otherAssigneeIds: [f.vic.id, f.bob.id] };
  await tx
    .update(tasks)
    .set({ ...done, ...plan, title: '=HYPERLINK("x")', description: 'a,\n"b"\n', parentId: last.id, updatedAt: at })
    .where(eq(tasks.id, first.id));
  await tx
    .update(tasks)
    .set({ parentId: first.id, title: "'-1", sourceUrl: 'https://a/b' })
    .where(eq(tasks.id, middle.id));
  await tx
    .update(labels)
    .set({ color: '#abcdef', description: 'Broken', name: 'bug, "real"' })
    .where(eq(labels.id, f.bug.id));
  const [second, fourth, fifth] = [f.opsTasks[1], f.opsTasks[3], f.opsTasks[4]];
  if (!second || !fourth || !fifth) throw new Error('expected six tasks');
  await tx.update(tasks).set({ sortOrder: 'a0V' }).where(eq(tasks.id, fifth.id));
  const ops = { projectId: f.ops.id, relatedProjectId: f.ops.id };
  const web = { projectId: f.web.id, taskId: f.webTask.id };
  const intoWeb = { projectId: f.ops.id, relatedProjectId: f.web.id, relatedTaskId: f.webTask.id };
  await tx.insert(taskRelations).values([
    { ...ops, taskId: last.id, type: 'BLOCKS', relatedTaskId: fifth.id },
    { ...ops, taskId: last.id, type: 'BLOCKS', relatedTaskId: first.id },
    { ...ops, taskId: first.id, type: 'BLOCKS', relatedTaskId: middle.id },
    { ...ops, taskId: fifth.id, type: 'BLOCKS', relatedTaskId: fourth.id },
    { ...ops, taskId: second.id, type: 'RELATES_TO', relatedTaskId: middle.id },
    { ...ops, taskId: second.id, type: 'DUPLICATE_OF', relatedTaskId: fifth.id },
    // Hidden from members of OPS alone.
    { ...intoWeb, taskId: first.id, type: 'BLOCKS' },
    { ...intoWeb, taskId: first.id, type: 'RELATES_TO' },
    { ...intoWeb, taskId: last.id, type: 'DUPLICATE_OF' },
    { ...web, type: 'BLOCKS', relatedTaskId: second.id, relatedProjectId: f.ops.id },
  ]);
  const comment = { taskId: first.id, authorId: f.eve.id, createdAt: at };
  await tx.insert(comments).values([{ ...comment, body: 'Edited', updatedAt: '2026-04-01T00:00:00.000Z' }]);
}

async function linkFor(viewer: UserId, format = 'JSONL', on = app): Promise<string> {
  const answer = await on.ask(EXPORT, { as: viewer, variables: { input: { projectId: f.ops.id, format } } });
  const { exportProject } = dataOf(answer);
  expect(exportProject.errors).toEqual([]);
  return exportProject.url;
}

async function textOf(databaseUrl: string, format: ExportFormat, protectFormulas = true): Promise<string> {
  const snapshot = await ExportSnapshot.open(databaseUrl, { key: 'OPS' });
  if (snapshot === undefined) throw new Error('expected the project OPS');
  let text = '';
  for await (const piece of exportText(snapshot, { format, protectFormulas })) text += piece;
  await snapshot.close();
  return text;
}

const intoCopy = {
  transact: async <T>(fn: (tx: Transaction) => Promise<T>) => ({ value: await copied.write.transaction(fn), tags: [] }),
};

async function importText(text: string, transactor: Pick<TestApp['transactor'], 'transact'>, ownerId: UserId) {
  const path = join(folder, 'file');
  await writeFile(path, text);
  return runImport({ file: await openImport(path), projectKey: 'OPS', ownerId, transactor });
}

/** The lines of an export with ids in place of which other lines they name. */
function withoutIds(text: string): unknown[] {
  const identifiers = new Map<string, string>();
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const { id, identifier } of lines) if (identifier !== undefined) identifiers.set(id, identifier);
  const named = (id: string) => identifiers.get(id) ?? id;
  return lines.map(({ id, source, task, parent, blocks, relatesTo, duplicateOf, ...rest }) => ({
    ...rest,
    task: identifiers.get(task),
    parent: parent && named(parent),
    ...(blocks && { blocks: blocks.map(named), relatesTo: relatesTo.map(named) }),
    ...(duplicateOf && { duplicateOf: named(duplicateOf) }),
  }));
}

test('JSON Lines bring a project to another database as it was, and change nothing the second time or at home', async () => {
  const response = await app.server.inject({ url: await linkFor(f.vic.id) });
  expect(response.statusCode).toBe(200);
  expect(response.headers).toMatchObject({
    'content-type': 'application/jsonl; charset=utf-8',
    'content-disposition': expect.stringMatching(/^attachment; filename="OPS-\d{4}-\d\d-\d\d\.jsonl"$/),
    'cache-control': 'no-store',
  });
  const exported = response.body;
  const ownerId = newId('user');
  await copied.write.insert(users).values({ id: ownerId, handle: 'owner', name: 'Owner' });
  const counts = { created: 6, updated: 0, unchanged: 0 };
  const once = { tasks: counts, comments: { created: 7 }, relations: { created: 6, deleted: 0, unchanged: 0 } };
  expect(await importText(exported, intoCopy, ownerId)).toMatchObject(once);
  expect(withoutIds(await textOf(copy.url, 'jsonl'))).toEqual(withoutIds(exported));
  expect(withoutIds(exported)).toContainEqual(
    expect.objectContaining({
      ...{
        identifier: 'OPS-1',
        title: '=HYPERLINK("x")',
        description: 'a,\n"b"\n',
        status: 'DONE',
        priority: 'URGENT',
      },
      ...{ assignees: ['ada', 'vic', 'bob'], startDate: '2026-12-01', estimate: 8 },
      ...{ assignee: 'ada', labels: ['bug, "real"', 'docs'], parent: 'OPS-6', dueDate: '2026-12-24' },
      ...{ createdAt: '2026-01-01T00:01:00.000Z', completedAt: '2026-03-01T10:00:00.123Z' },
    }),
  );
  expect(withoutIds(exported)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ identifier: 'OPS-1', blocks: ['OPS-3'], relatesTo: [], sortOrder: null }),
      expect.objectContaining({ identifier: 'OPS-2', blocks: [], relatesTo: ['OPS-3'], duplicateOf: 'OPS-5' }),
      expect.objectContaining({ identifier: 'OPS-3', relatesTo: ['OPS-2'] }),
      expect.objectContaining({ identifier: 'OPS-5', blocks: ['OPS-4'], sortOrder: 'a0V' }),
      expect.objectContaining({ identifier: 'OPS-6', blocks: ['OPS-1', 'OPS-5'] }),
    ]),
  );
  expect(exported).not.toContain(f.webTask.id);
  const relations = { created: 0, deleted: 0, unchanged: 6 };
  const unchanged = { relations, tasks: { unchanged: 6 }, comments: { unchanged: 7 }, labels: { unchanged: 2 } };
  expect(await importText(exported, intoCopy, ownerId)).toMatchObject(unchanged);
  expect(await importText(exported, app.transactor, f.ada.id)).toMatchObject(unchanged);
  const edited = exported.replace('"Edited"', '"Edited again"').replace('"Task 4"', '"Task four"');
  const changes = { tasks: { created: 0, updated: 1 }, comments: { created: 0, updated: 1 }, relations };
  expect(await importText(edited, app.transactor, f.ada.id)).toMatchObject(changes);
  expect(await importText(exported, app.transactor, f.ada.id)).toMatchObject({ tasks: { updated: 1 } });
});

test('what an import changes of relations and order shows in the next answer of another process', async () => {
  const query = `query ($id: ID!) { task(id: $id) { sortOrder blocks { nodes { id } } }
    project(key: "OPS") { tasks(first: 1, orderBy: [{ field: MANUAL, direction: ASC }]) { nodes { id } } } }`;
  const [first, , middle] = f.opsTasks.map(({ id }) => id);
  const read = async () => {
    const { task, project } = dataOf(await second.ask(query, { as: f.ada.id, variables: { id: first } }));
    const blocks = task.blocks.nodes.map(({ id }: { id: string }) => id).filter((id: string) => id !== f.webTask.id);
    return [task.sortOrder, blocks, project.tasks.nodes[0].id];
  };
  expect(await read()).toEqual(['a1', [middle], f.opsTasks[4]?.id]);
  const before = await textOf(app.databaseUrl, 'jsonl');
  const csv = `id,title,sortOrder,blocks\n${first},"=HYPERLINK(""x"")",Zz,\n`;
  await importText(csv, app.transactor, f.ada.id);
  expect(await read()).toEqual(['Zz', [], first]);
  expect(await importText(before, app.transactor, f.ada.id)).toMatchObject({ relations: { created: 1, unchanged: 5 } });
  expect(await read()).toEqual(['a1', [middle], f.opsTasks[4]?.id]);
});

test('CSV holds tasks as spreadsheets may show them, and is read back as it was', async () => {
  const text = (await second.server.inject({ url: await linkFor(f.bob.id, 'CSV') })).body;
  expect(text.split('\r\n', 1)).toEqual([
    'id,identifier,title,description,status,priority,assignee,assignees,creator,labels,parent,sortOrder,blocks,' +
      'relatesTo,duplicateOf,dueDate,startDate,estimate,createdAt,updatedAt,completedAt',
  ]);
  expect(text).toContain(`"'=HYPERLINK(""x"")"`);
  expect(text).toContain(`''-1`);
  expect(text).toContain(`,ada,"ada,vic,bob",`);
  expect(text).toContain(`"""bug, """"real"""""",docs"`);
  expect((await textOf(app.databaseUrl, 'csv', false)).includes(`"'=HYPERLINK`)).toBe(false);
  expect(text).not.toContain(f.webTask.id);
  const unchanged = { tasks: { unchanged: 6 }, relations: { created: 0, deleted: 0, unchanged: 6 } };
  expect(await importText(text, app.transactor, f.ada.id)).toMatchObject(unchanged);
  expect(text).toContain(`,,"${f.opsTasks[0]?.id},${f.opsTasks[4]?.id}",,,`); // parent, sortOrder, blocks, relatesTo, …
});

test('CSV quotes what other programs take for the end of a cell or a row, and marks a formula behind a line break', async () => {
  const description = '\n=1+1';
  const [task] = await app.db.read.select({ id: tasks.id }).from(tasks).where(eq(tasks.projectId, f.ops.id)).limit(1);
  const id = task?.id as TaskId;
  const [before] = await app.db.read.select().from(tasks).where(eq(tasks.id, id));
  await app.transactor.transact((tx) => tx.update(tasks).set({ title: 'a;=1+1', description }).where(eq(tasks.id, id)));
  const text = await textOf(app.databaseUrl, 'csv');
  expect(text).toContain(`"a;=1+1","'\n=1+1"`);
  expect(await importText(text, app.transactor, f.ada.id)).toMatchObject({ tasks: { unchanged: 6 } });
  const { title, description: old } = before as typeof tasks.$inferSelect;
  await app.transactor.transact((tx) => tx.update(tasks).set({ title, description: old }).where(eq(tasks.id, id)));
});

test('an address is made for members alone, and a project that is hidden looks like one that does not exist', async () => {
  const ask = (as: UserId, projectId: string) =>
    app.ask(EXPORT, { as, variables: { input: { projectId, format: 'CSV' } } });
  const hidden = dataOf(await ask(f.eve.id, f.ops.id)).exportProject;
  expect(hidden).toEqual({
    url: null,
    expiresAt: null,
    errors: [{ __typename: 'NotFoundError', code: 'NOT_FOUND', path: ['input', 'projectId'] }],
  });
  expect(dataOf(await ask(f.eve.id, newId('project'))).exportProject).toEqual(hidden);
});

test('a download has what another process has just written, and none begins for a former member', async () => {
  const url = await linkFor(f.bob.id);
  const update =
    'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { version } errors { code } } }';
  const input = { id: f.opsTasks[1]?.id, description: 'Just now' };
  dataOf(await app.ask(update, { as: f.ada.id, variables: { input } }));
  expect((await second.server.inject({ url })).body).toContain('Just now');
  const membership = and(eq(projectMembers.projectId, f.ops.id), eq(projectMembers.userId, f.bob.id));
  await app.transactor.transact((tx) => tx.delete(projectMembers).where(membership));
  let status = 0;
  await eventually(async () => {
    status = (await second.server.inject({ url })).statusCode;
    expect(status).not.toBe(429); // the export before gives its place back once its response has closed
  });
  expect(status).toBe(404);
});

test('a task in the trash is not exported, and an earlier export does not bring it back', async () => {
  const before = await textOf(app.databaseUrl, 'jsonl');
  const [, , , task] = f.opsTasks;
  const remove = 'mutation ($input: DeleteTaskInput!) { deleteTask(input: $input) { errors { code } } }';
  dataOf(await app.ask(remove, { as: f.ada.id, variables: { input: { id: task?.id } } }));
  expect(await textOf(app.databaseUrl, 'jsonl')).not.toContain('"OPS-4"');
  const result = await importText(before, app.transactor, f.ada.id);
  expect(result).toMatchObject({ tasksInTrash: 1, tasks: { created: 0, unchanged: 5 } });
  expect(result).toMatchObject({ relationsLeftOut: 1, relations: { created: 0, deleted: 0, unchanged: 5 } });
});

test('a link that was changed, has expired or is of another secret opens nothing', async () => {
  const url = await linkFor(f.ada.id);
  const changed = url.replace(/=(.{20})./, '=$1x');
  expect((await app.server.inject({ url: changed })).statusCode).toBe(403);
  for (const other of ['/exports', '/exports?link=', '/exports?link=a.b', `${url}&link=x`]) {
    expect((await app.server.inject({ url: other })).statusCode).toBe(403);
  }
  const text = url.slice(url.indexOf('=') + 1);
  const links = new ExportLinks(TOKENS.tokens.secret);
  const expiresAtMs = links.read(text)?.expiresAtMs ?? 0;
  expect(expiresAtMs - Date.now()).toBeLessThanOrEqual(5 * 60_000);
  expect(links.read(text, expiresAtMs)).toBeUndefined();
  expect(new ExportLinks(`${TOKENS.tokens.secret}!`).read(text)).toBeUndefined();
});

test('one export of a viewer and four of the process run at once, and one whose client leaves makes room', async () => {
  const server = fastify();
  let closed = 0;
  const read = { pieces: 0 };
  /** Endless: it ends only because the client leaves. */
  const open = async (): Promise<OpenExport> => ({
    fileName: 'OPS.csv',
    contentType: 'text/csv',
    text: (async function* () {
      for (; ; read.pieces++) yield 'x'.repeat(64 * 1024);
    })(),
    close: async () => {
      closed++;
    },
  });
  serveExports(server, {
    path: '/exports',
    log: createLog('silent'),
    read: (viewerId) => ({ viewerId, open: viewerId === 'gone' ? async () => undefined : open }),
  });
  await server.listen({ port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const begin = (viewer: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get({ port, path: `/exports?link=${viewer}`, agent: false }, resolve).on('error', reject);
    });
  const status = async (viewer: string) => (await begin(viewer)).statusCode;
  const running = [await begin('a'), await begin('b'), await begin('c')];
  expect(await status('a')).toBe(429);
  expect(await status('gone')).toBe(404);
  running.push(await begin('d'));
  expect(await status('e')).toBe(503);
  // The clients read nothing: what was made is what buffers of the network hold.
  running[0]?.destroy();
  await eventually(() => expect(closed).toBe(1));
  running.push(await begin('e'));
  for (const one of running) one.destroy();
  await eventually(() => expect(closed).toBe(5));
  expect(read.pieces * 64).toBeLessThan(5 * 32 * 1024);
  await server.close();
});
