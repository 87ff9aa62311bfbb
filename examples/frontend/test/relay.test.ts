/** Relay: its compiler accepts the schema and what its directives ask of one, and the server answers what the compiler makes. */
import { expect, test } from 'vitest';
import { ask } from './ask.js';
import { compileWithRelay } from './relay-compiler.js';
import { newestFirst, taskOf, world } from './support.js';

/** A component's source: a list in pages, rows that are fetched again by their id, and mutations that keep the list right. */
const SOURCE = `
graphql\`
  fragment Tasks_project on Project
  @refetchable(queryName: "TasksPage")
  @argumentDefinitions(first: { type: "Int", defaultValue: 2 }, after: { type: "String" }) {
    tasks(first: $first, after: $after) @connection(key: "Tasks_tasks") {
      __id
      edges { node { id ...Tasks_row } }
    }
  }
\`;
graphql\`
  fragment Tasks_row on Task @refetchable(queryName: "TasksRow") { identifier title status assignee { ...Tasks_person } }
\`;
graphql\`fragment Tasks_person on User { name }\`;
graphql\`query TasksQuery($key: String!) { project(key: $key) { ...Tasks_project } }\`;
graphql\`
  mutation TasksCreate($input: CreateTaskInput!, $connections: [ID!]!) {
    createTask(input: $input) {
      taskEdge @prependEdge(connections: $connections) { cursor node { id ...Tasks_row } }
      errors { __typename ...Tasks_refusal }
    }
  }
\`;
graphql\`
  mutation TasksDelete($input: DeleteTaskInput!, $connections: [ID!]!) {
    deleteTask(input: $input) {
      deletedTaskId @deleteRecord @deleteEdge(connections: $connections)
      errors { ...Tasks_refusal }
    }
  }
\`;
graphql\`
  fragment Tasks_oldest on Project
  @refetchable(queryName: "TasksBefore")
  @argumentDefinitions(last: { type: "Int", defaultValue: 2 }, before: { type: "String" }) {
    oldest: tasks(last: $last, before: $before) @connection(key: "Tasks_oldest_oldest") { edges { node { id title } } }
  }
\`;
graphql\`
  subscription TasksChanged($project: ID!) {
    taskChanged(projectId: $project) { type task { ...Tasks_row } }
  }
\`;
graphql\`fragment Tasks_refusal on UserError { code message ... on ConflictError { task { ...Tasks_row } } }\`;
`;

const w = world();

test('the compiler takes connections, refetching by Node and edges, and the server answers what it makes', async () => {
  const { operations, artifacts } = await compileWithRelay(SOURCE);
  expect([...operations.keys()].sort()).toEqual([
    'TasksBefore',
    'TasksChanged',
    'TasksCreate',
    'TasksDelete',
    'TasksPage',
    'TasksQuery',
    'TasksRow',
  ]);
  expect(artifacts).toHaveLength(12);

  // biome-ignore lint/suspicious/noExplicitAny: what is expected of it is asserted
  const run = (name: string, variables: object) => ask<any>(w.ada, operations.get(name) ?? '', variables);
  const { project } = await run('TasksQuery', { key: w.project.key });
  const titles = (tasks: { edges: { node: { title: string } }[] }) => tasks.edges.map(({ node }) => node.title);
  expect(titles(project.tasks)).toEqual(newestFirst.slice(0, 2));
  const page = await run('TasksPage', { id: project.id, first: 10, after: project.tasks.pageInfo.endCursor });
  expect(titles(page.node.tasks)).toEqual(newestFirst.slice(2));
  const row = await run('TasksRow', { id: taskOf(w, 1).id });
  const { name } = w.assignee;
  expect(row.node).toMatchObject({ __typename: 'Task', identifier: `${w.project.key}-1`, assignee: { name } });
  const { createTask } = await run('TasksCreate', { input: { projectId: w.project.id, title: 'New' } });
  expect(createTask).toMatchObject({ taskEdge: { node: { title: 'New' } }, errors: [] });
  const before = await run('TasksBefore', { id: project.id, last: 2, before: createTask.taskEdge.cursor });
  expect(before.node.oldest.edges).toEqual([]);
  const end = await run('TasksBefore', { id: project.id, last: 2 });
  expect(titles(end.node.oldest)).toEqual(['Task 2', 'Task 1']);
  const { deleteTask } = await run('TasksDelete', { input: { id: createTask.taskEdge.node.id } });
  expect(deleteTask).toEqual({ deletedTaskId: createTask.taskEdge.node.id, errors: [] });
});

test('what is not a connection is refused by the compiler: it does read the schema', async () => {
  const source = SOURCE.replace('tasks(first: $first, after: $after)', 'stats').replace(/__id\s+edges \{.*\}/, 'total');
  await expect(compileWithRelay(source)).rejects.toThrow('@connection');
});
