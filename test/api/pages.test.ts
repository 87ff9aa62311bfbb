/** Pages of every list, put together, are the whole list: in both directions, with every page size, whatever its names are made of. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projectMembers, projects } from '../../src/domain/projects/project.table.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';

let app: TestApp;
beforeAll(async () => {
  app = await testApp();
});
afterAll(() => app?.close());

/** In UTF-16 the first of these come before the last, in UTF-8 behind them. */
const NAME = fc
  .array(fc.constantFrom('🔥', '𐀀', '\u{10ffff}', '（', '\ue000', '\uffff', '한', 'é', 'a', 'A', ' '), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => `${parts.join('')}.`);
const WORLD = fc.uniqueArray(NAME, { minLength: 2, maxLength: 6 });

type World = Awaited<ReturnType<typeof worldOf>>;

/** A viewer with a project for each name; the first one has a member, a task, a label and a subtask for each name. */
async function worldOf(names: readonly string[]) {
  const people = names.map((name) => ({ id: newId('user'), handle: newId('user'), name }));
  const owned = names.map((name, i) => ({
    id: newId('project'),
    key: `P${i}X${Date.now().toString(36).slice(-6).toUpperCase()}`,
    name,
  }));
  const [viewer, project] = [people[0] as (typeof people)[0], owned[0] as (typeof owned)[0]];
  const words = names.map((name) => ({ id: newId('label'), projectId: project.id, name, color: '#112233' }));
  const common = { projectId: project.id, creatorId: viewer.id, assigneeId: viewer.id };
  const parent = { id: newId('task'), number: 1, title: names[0] as string, parentId: null, ...common };
  const parts = names.map((title, i) => ({ id: newId('task'), number: i + 2, title, parentId: parent.id, ...common }));
  await app.transactor.transact(async (tx) => {
    await tx.insert(users).values(people);
    await tx.insert(projects).values(owned);
    const mine = owned.slice(1).map(({ id }) => ({ projectId: id, userId: viewer.id, role: 'OWNER' as const }));
    const members = people.map(({ id }) => ({ projectId: project.id, userId: id, role: 'OWNER' as const }));
    await tx.insert(projectMembers).values([...mine, ...members]);
    await tx.insert(labels).values(words);
    await tx.insert(tasks).values([parent, ...parts]);
    await tx
      .insert(taskLabels)
      .values(words.map(({ id }) => ({ projectId: project.id, taskId: parent.id, labelId: id })));
    await tx.insert(comments).values(names.map((body) => ({ taskId: parent.id, authorId: viewer.id, body })));
  });
  return { viewer, project, parent, words, parts, size: names.length + 1 };
}

const BY_TITLE = 'orderBy: [{ field: TITLE, direction: ASC }]';
/** Every list: where it is, by which alias, and what else it is asked with. */
const LISTS: readonly (readonly [
  at: 'query' | 'viewer' | 'project' | 'task',
  alias: string,
  field: string,
  args?: string,
])[] = [
  ['query', 'projects', 'projects'],
  ['query', 'tasks', 'tasks'],
  ['query', 'titles', 'tasks', BY_TITLE],
  ['query', 'titlesDown', 'tasks', 'orderBy: [{ field: TITLE, direction: DESC }]'],
  ['query', 'priorities', 'tasks', 'orderBy: [{ field: PRIORITY }, { field: TITLE, direction: ASC }]'],
  ['query', 'due', 'tasks', 'orderBy: [{ field: DUE_DATE, nulls: FIRST }, { field: TITLE, direction: ASC }]'],
  ['viewer', 'assigned', 'assignedTasks', BY_TITLE],
  ['viewer', 'created', 'createdTasks', BY_TITLE],
  ['project', 'labels', 'labels'],
  ['project', 'members', 'members'],
  ['project', 'ofProject', 'tasks', BY_TITLE],
  ['task', 'subtasks', 'subtasks', BY_TITLE],
  ['task', 'ofTask', 'labels'],
  ['task', 'comments', 'comments'],
];
type List = {
  nodes: { id: string }[];
  pageInfo: Record<'hasNextPage' | 'hasPreviousPage', boolean> & Record<'startCursor' | 'endCursor', string | null>;
};
type Lists = Record<string, List>;

/** The lists at one place; a list whose pages are all read is not asked for. */
async function ask(w: World, limit: string, cursors: ReadonlyMap<string, string | null>): Promise<Lists> {
  const at = (place: string) =>
    LISTS.filter(([where, alias]) => where === place && cursors.has(alias)).map(([, alias, field, args = '']) => {
      const cursor = cursors.get(alias);
      const from = cursor ? `${limit.startsWith('first') ? 'after' : 'before'}: "${cursor}"` : '';
      return `${alias}: ${field}(${[limit, from, args].join(' ')}) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`;
    });
  const document = `{ ${at('query')}
    viewer { id ${at('viewer')} }
    project(id: "${w.project.id}") { id ${at('project')} }
    task(id: "${w.parent.id}") { id ${at('task')} } }`;
  const { viewer, project, task, ...query } = dataOf(await app.ask(document, { as: w.viewer.id }));
  return { ...query, ...viewer, ...project, ...task };
}

async function pagesTogether(w: World, limit: string): Promise<Record<string, string[]>> {
  const forward = limit.startsWith('first');
  const ids: Record<string, string[]> = Object.fromEntries(LISTS.map(([, alias]) => [alias, []]));
  const cursors = new Map<string, string | null>(LISTS.map(([, alias]) => [alias, null]));
  for (let page = 0; cursors.size > 0; page++) {
    expect(page).toBeLessThan(20);
    const lists = await ask(w, limit, cursors);
    for (const alias of [...cursors.keys()]) {
      const { nodes, pageInfo } = lists[alias] as List;
      const read = nodes.map(({ id }) => id);
      ids[alias] = forward ? [...(ids[alias] ?? []), ...read] : [...read, ...(ids[alias] ?? [])];
      if (forward ? pageInfo.hasNextPage : pageInfo.hasPreviousPage) {
        cursors.set(alias, forward ? pageInfo.endCursor : pageInfo.startCursor);
      } else cursors.delete(alias);
    }
  }
  return ids;
}

const byChars = (a: readonly string[], b: readonly string[]) =>
  Buffer.compare(Buffer.from(a[0] ?? ''), Buffer.from(b[0] ?? ''));

test('pages of any list, forwards and backwards and of any size, are the whole list in the order of its characters', async () => {
  await fc.assert(
    fc.asyncProperty(WORLD, async (names) => {
      const w = await worldOf(names);
      const whole = await pagesTogether(w, 'first: 100');
      // The orders by name, computed without the database.
      const sorted = (rows: readonly { id: string; name?: string; title?: string }[]) =>
        rows
          .map(({ id, name, title }) => [name ?? title ?? '', id])
          .sort(byChars)
          .map(([, id]) => id);
      expect(whole.labels).toEqual(sorted(w.words));
      expect(whole.subtasks).toEqual(sorted(w.parts));
      expect(whole.titlesDown).toEqual(whole.titles?.toReversed());
      for (let size = 1; size <= w.size; size++) {
        expect([size, await pagesTogether(w, `first: ${size}`)]).toEqual([size, whole]);
        expect([size, await pagesTogether(w, `last: ${size}`)]).toEqual([size, whole]);
      }
    }),
    { numRuns: 6, examples: [[['🔥 hot', '（緊急）']], [['\ue000', '\u{10ffff}', '\uffff', '𐀀']]] },
  );
});
