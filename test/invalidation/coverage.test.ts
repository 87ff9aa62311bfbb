/** A cached load that reads what its tags do not follow fails, in development and in tests. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rowsById } from '../../src/db/by-id.js';
import { newId, type TaskId } from '../../src/db/ids.js';
import { memberRows } from '../../src/domain/projects/project.table.js';
import { taskLabelRows, taskLabels, taskRows, tasks } from '../../src/domain/tasks/task.table.js';
import { userRows, users } from '../../src/domain/users/user.table.js';
import type { Source } from '../../src/engine/cache/index.js';
import { brings, UncoveredRead } from '../../src/engine/postgres/coverage.js';
import { type TestApp, testApp } from '../support/app.js';

let app: TestApp;
beforeAll(async () => {
  app = await testApp({ nearCacheBytes: 1024 * 1024 });
});
afterAll(() => app?.close());

const id = newId('task');

/** A source that nobody has read yet, so that it loads. */
function source<V>(tags: Source<TaskId, V>['tags'], load: () => Promise<V>): Source<TaskId, V> {
  const name = `MadeUp${newId('x').slice(2)}`;
  return { name, shape: '1', ttlMs: 1000, scope: 'public', tags, load: async (args) => Promise.all(args.map(load)) };
}
const read = <V>(made: Source<TaskId, V>) => app.cache.readMany(made, [id]);

test('a load of a table that none of its tags is of is refused', async () => {
  const made = source(
    (task) => taskRows.byId(task),
    () => rowsById(app.db, users, [newId('user')]),
  );
  await expect(read(made)).rejects.toThrow(UncoveredRead);
  await expect(read(made)).rejects.toThrow(/reads users, but none of its tags is of that table/);
});

test('a load without any tags may read no cached table', async () => {
  const made = source(
    () => [],
    () => app.db.read.select().from(tasks),
  );
  await expect(read(made)).rejects.toThrow(UncoveredRead);
});

test('a join is refused for the table that the tags leave out', async () => {
  const joined = () =>
    app.db.read
      .select({ id: tasks.id, labelId: taskLabels.labelId })
      .from(tasks)
      .innerJoin(taskLabels, eq(taskLabels.taskId, tasks.id))
      .where(eq(tasks.id, id));
  await expect(read(source((task) => taskRows.byId(task), joined))).rejects.toThrow(/reads task_labels/);
  const both = source((task) => [...taskRows.byId(task), ...taskLabelRows.byTask(task)], joined);
  await expect(read(both)).resolves.toEqual([[]]);
  // By the task's own tag the parts are followed, but for large statements, which name their own table.
  const parts = source((task) => [...taskRows.byId(task), taskLabelRows.ofTask(task)[1]], joined);
  await expect(read(parts)).resolves.toEqual([[]]);
});

test.each([
  ['selected', () => app.db.read.select({ title: tasks.title }).from(tasks)],
  ['a condition', () => app.db.read.select({ id: tasks.id }).from(tasks).where(eq(tasks.title, 'x'))],
  ['the order', () => app.db.read.select({ id: tasks.id }).from(tasks).orderBy(tasks.updatedAt)],
  ['in raw SQL', () => app.db.read.execute(sql`select max(${tasks.version}) from ${tasks}`)],
])('a column that the row-set ignores is refused: %s', async (_, load) => {
  const project = newId('project');
  await expect(
    read(
      source(
        () => taskRows.byProject(project),
        async () => await load(),
      ),
    ),
  ).rejects.toThrow(/whose change its tags do not follow/);
});

test('a column that the row-set does not watch is refused', async () => {
  const made = source(
    () => taskRows.byNumber(newId('project'), 1),
    () => app.db.read.select({ status: tasks.status }).from(tasks),
  );
  await expect(read(made)).rejects.toThrow(/tasks\.status/);
});

test('what the tags follow may be read: columns of any one of them', async () => {
  const project = newId('project');
  const listed = () => app.db.read.select({ id: tasks.id, status: tasks.status }).from(tasks);
  await expect(read(source(() => taskRows.byProject(project), listed))).resolves.toEqual([[]]);
  const titled = () => app.db.read.select({ title: tasks.title }).from(tasks);
  const tags = (task: TaskId) => [...taskRows.byProject(project), ...taskRows.byId(task)];
  await expect(read(source(tags, titled))).resolves.toEqual([[]]);
});

test('a refused load is not stored, and leaves the next load of the same call alone', async () => {
  const made = source(
    () => userRows.byId(newId('user')),
    () => rowsById(app.db, tasks, [id]),
  );
  await expect(read(made)).rejects.toThrow(UncoveredRead);
  await expect(read({ ...made, load: async () => [[null]] })).resolves.toEqual([[null]]);
});

test('statements outside of a cached load are not checked', async () => {
  await expect(app.db.read.select().from(users)).resolves.toEqual([]);
  const made = source(
    () => memberRows.byUser(newId('user')),
    async () => 'nothing read',
  );
  await expect(Promise.all([read(made), app.db.read.select().from(users)])).resolves.toEqual([['nothing read'], []]);
});

test.each([
  [
    'is covered by its own tags, a table of which nothing is kept by none',
    (task: TaskId) => [...taskRows.byId(task), ...taskLabelRows.byTask(task)],
    undefined,
  ],
  [
    'is refused where its own tags leave a table out',
    (task: TaskId) => taskRows.byId(task),
    /brings along reads task_labels/,
  ],
])('what a load brings along %s', async (_, tags, refused) => {
  const brought = { name: 'Brought', shape: '1', ttlMs: 1000, scope: 'public' as const, tags };
  const listing: Source<TaskId, null> = {
    ...source<null>(
      () => [],
      async () => null,
    ),
    brings: true,
    load: async (args, _signal, bring) => {
      await app.db.read.execute(sql`with listed as (select 1) ${sql.raw(brings('tasks'))}
        select ${tasks.title}, ${taskLabels.labelId} from ${tasks} join ${taskLabels} on ${taskLabels.taskId} = ${tasks.id}
        ${sql.raw(brings('users'))} left join ${users} on false`);
      bring?.(brought, id, {});
      return args.map(() => null);
    },
  };
  await read(
    source(
      () => [],
      async () => 0,
    ),
  ); // memory knows the log
  const reading = app.cache.readMany(listing, [id], { readSet: app.cache.readSet() });
  if (refused === undefined) expect(await reading).toEqual([null]);
  else await expect(reading).rejects.toThrow(refused);
});
