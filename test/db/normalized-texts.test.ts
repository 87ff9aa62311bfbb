/** Migration 0010: what was stored before texts were normalized. */
import { readFileSync } from 'node:fs';
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, type TaskId, type UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

const MIGRATION = new URL('../../src/db/migrations/0010_normalized_texts.sql', import.meta.url);
const NFC = 'Zoë café 한';
const NFD = NFC.normalize('NFD');
/** Its composed form is longer: 330 characters become 660. */
const GROWS = '\u0958'.repeat(330);
/** Normalizing it would take seconds. */
const SLOW = `a${'\u0301'.repeat(30_000)}${'\u0316'.repeat(30_000)}`;

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const migrate = () => app.db.write.execute(sql.raw(readFileSync(MIGRATION, 'utf8')));
const everyRow = () =>
  Promise.all(
    ['users', 'projects', 'labels', 'tasks', 'comments', 'cache_outbox'].map((table) =>
      app.db.read.execute(sql`select xmin::text, t.* from ${sql.identifier(table)} t order by t::text`),
    ),
  );

test('stored texts are normalized, servers show it at once, and a second run changes no row', async () => {
  const [first, second, third, fourth] = f.opsTasks.map(({ id }) => id) as [TaskId, TaskId, TaskId, TaskId];
  const set = (id: TaskId, values: object) => app.db.write.update(tasks).set(values).where(eq(tasks.id, id));
  await set(first, { title: NFD, description: NFD });
  await set(second, { title: GROWS, description: NFD });
  await set(third, { description: SLOW });
  await set(fourth, { description: ' \n' });
  await app.db.write.update(comments).set({ body: NFD }).where(eq(comments.taskId, first));
  await app.db.write.update(projects).set({ name: NFD, description: '' }).where(eq(projects.id, f.web.id));
  await app.db.write.update(users).set({ name: NFD, handle: 'Zoe\u0308' }).where(eq(users.id, f.eve.id));
  await app.db.write.update(users).set({ handle: 'boe\u0301' }).where(eq(users.id, f.bob.id));
  await app.db.write.insert(users).values({ handle: 'boe\u0301'.normalize('NFC'), name: 'another' });
  const label = (name: string, description = '') => ({
    id: newId('label'),
    projectId: f.ops.id,
    name,
    color: '#112233',
    description,
  });
  const [alone, taken, ...twins] = [
    label(NFD, NFD),
    label('taken e\u0301'),
    label('twin \u1e09'.normalize('NFD')),
    label('twin c\u0301\u0327'),
  ];
  await app.db.write.insert(labels).values([alone, taken, ...twins, label('taken é')]);

  const query = `{ task(id: "${first}") { title description comments { nodes { body } } } project(key: "OPS") { labels { nodes { name } } } }`;
  const read = async () => dataOf(await app.ask(query, { as: f.ada.id }));
  await eventually(async () => expect((await read()).task.title).toBe(NFD));

  await migrate();
  await eventually(async () =>
    expect((await read()).task).toEqual({ title: NFC, description: NFC, comments: { nodes: [{ body: NFC }] } }),
  );
  const row = async (id: TaskId) => (await app.db.read.select().from(tasks).where(eq(tasks.id, id)))[0];
  expect(await row(first)).toMatchObject({ version: 2 });
  expect(await row(second)).toMatchObject({ title: GROWS, description: NFC });
  expect(await row(third)).toMatchObject({ description: SLOW, version: 1 });
  expect(await row(fourth)).toMatchObject({ description: null });
  expect((await app.db.read.select().from(projects).where(eq(projects.id, f.web.id)))[0]).toMatchObject({
    name: NFC,
    description: null,
  });
  const user = async (id: UserId) => (await app.db.read.select().from(users).where(eq(users.id, id)))[0];
  expect(await user(f.eve.id)).toMatchObject({ name: NFC, handle: 'Zoë' });
  expect(await user(f.bob.id)).toMatchObject({ handle: 'boe\u0301' }); // another user has the composed one
  const names = (await app.db.read.select().from(labels).orderBy(labels.id)).map(({ name }) => name);
  expect(names).toEqual(['bug', 'docs', NFC, 'taken e\u0301', 'twin \u1e09', 'twin c\u0301\u0327', 'taken é']);

  const before = await everyRow();
  await migrate();
  expect(await everyRow()).toEqual(before);
});
