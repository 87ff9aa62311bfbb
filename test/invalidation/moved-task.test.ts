/** Exactness, as users meet it: what a write did not touch stays cached. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRows } from '../../src/domain/projects/project.table.js';
import { taskRows } from '../../src/domain/tasks/task.table.js';
import { dataOf, eventually } from '../support/app.js';
import { relayed, released, type World, world } from './world.js';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w?.close());

const ASSIGNED =
  'query ($user: ID!) { tasks(filter: { assignee: { id: { eq: $user } } }) { totalCount nodes { id } } }';
const OF_PROJECT =
  'query ($key: String!) { project(key: $key) { id tasks { totalCount nodes { id assignee { handle } } } } }';
const ASSIGN = 'mutation ($input: AssignTaskInput!) { assignTask(input: $input) { task { id } errors { message } } }';

interface Asked {
  readonly document: string;
  readonly variables: Record<string, unknown>;
}

/** How the list behind a query ended: its page and its count. */
async function outcomesOf({ document, variables }: Asked) {
  w.app.reset();
  const answer = await w.app.ask(document, { as: w.f.ada.id, variables, trace: true });
  const data = dataOf(answer);
  const calls = answer.cache?.calls ?? [];
  const of = (name: string) => new Set(calls.filter((call) => call.name === name).map((call) => call.outcome));
  return { data, page: of('TaskPage'), count: of('TaskCount'), calls };
}

test('a task moved between assignees drops exactly the lists of both, and of its project only what looks at assignees', async () => {
  const { f } = w;
  const [moved] = f.opsTasks;
  const id = (moved as (typeof f.opsTasks)[number]).id;
  const ofUser = (user: string) => ({ document: ASSIGNED, variables: { user } });
  const asked = {
    ada: ofUser(f.ada.id),
    bob: ofUser(f.bob.id),
    vic: ofUser(f.vic.id),
    ops: { document: OF_PROJECT, variables: { key: 'OPS' } },
    web: { document: OF_PROJECT, variables: { key: 'WEB' } },
  };
  await relayed(w);
  for (const one of Object.values(asked)) {
    await eventually(async () => {
      const { calls } = await outcomesOf(one);
      expect(calls.filter(({ outcome }) => outcome !== 'hit')).toEqual([]);
    });
  }

  const answer = await w.app.ask(ASSIGN, {
    as: f.ada.id,
    variables: { input: { id, assigneeId: f.bob.id } },
    trace: true,
  });
  expect(dataOf(answer).assignTask.errors).toEqual([]);
  expect(new Set(answer.cache?.invalidated)).toEqual(
    new Set([
      taskRows.byId(id)[0],
      taskRows.anyByProject(f.ops.id)[0],
      taskRows.byCreator(f.ada.id)[0],
      taskRows.byProject(f.ops.id)[0],
      taskRows.assigneeByProject(f.ops.id)[0],
      taskRows.byAssignee(f.ada.id)[0],
      taskRows.byAssignee(f.bob.id)[0],
    ]),
  );
  await released(w);

  const dropped = { page: new Set(['miss']), count: new Set(['miss']) };
  const kept = { page: new Set(['hit']), count: new Set(['hit']) };
  const ids = (nodes: { id: string }[]) => nodes.map((node) => node.id);

  const vic = await outcomesOf(asked.vic);
  expect(vic).toMatchObject(kept);
  const web = await outcomesOf(asked.web);
  expect(web).toMatchObject(kept);
  expect(web.calls.filter(({ outcome }) => outcome !== 'hit')).toEqual([]);

  const ada = await outcomesOf(asked.ada);
  expect(ada).toMatchObject(dropped);
  expect(ids(ada.data.tasks.nodes)).not.toContain(id);
  const bob = await outcomesOf(asked.bob);
  expect(bob).toMatchObject(dropped);
  expect(ids(bob.data.tasks.nodes)).toContain(id);
  const ops = await outcomesOf(asked.ops);
  expect(ops).toMatchObject(kept);
  const shown = ops.data.project.tasks.nodes.find((node: { id: string }) => node.id === id);
  expect(shown.assignee.handle).toBe('bob');

  // Of the rows themselves only the moved one was read again, and nothing else at all.
  const notHits = [...ada.calls, ...bob.calls, ...ops.calls].filter(({ outcome }) => outcome !== 'hit');
  const rows = notHits.filter(({ name }) => name !== 'TaskPage' && name !== 'TaskCount');
  expect(rows.map(({ name, tags }) => ({ name, tags }))).toEqual([
    { name: 'Task', tags: [...taskRows.byId(id), 'task_labels'] },
  ]);
  expect(ops.calls.flatMap(({ tags }) => tags)).toContain(projectRows.byId(f.ops.id)[0]);
});
