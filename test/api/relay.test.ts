/** Relay: its compiler accepts the schema and what its directives ask of one, and the server answers what the compiler makes. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

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
      task @prependNode(connections: $connections, edgeTypeName: "TaskEdge") { id ...Tasks_row }
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
graphql\`fragment Tasks_refusal on UserError { code message ... on ConflictError { task { ...Tasks_row } } }\`;
`;

const CONFIG = {
  src: './src',
  schema: './schema.graphql',
  language: 'typescript',
  artifactDirectory: './artifacts',
  persistConfig: { file: './operations.json' },
  customScalarTypes: { Date: 'string', DateTime: 'string' },
};

const compiler: string = createRequire(import.meta.url)('relay-compiler');

let directory: string;
let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tasks-relay-'));
  app = await testApp();
  f = await fixture(app);
});
afterAll(async () => {
  await app?.close();
  await rm(directory, { recursive: true, force: true });
});

/** The text of each operation that the compiler made, by its name. */
async function compile(source: string): Promise<Map<string, string>> {
  await copyFile(fileURLToPath(new URL('../../schema.graphql', import.meta.url)), join(directory, 'schema.graphql'));
  for (const folder of ['src', 'artifacts']) await mkdir(join(directory, folder), { recursive: true });
  await writeFile(join(directory, 'relay.config.json'), JSON.stringify(CONFIG));
  await writeFile(join(directory, 'operations.json'), '{}');
  await writeFile(join(directory, 'src', 'Tasks.ts'), source);
  await promisify(execFile)(compiler, ['relay.config.json'], { cwd: directory });
  const operations: string[] = Object.values(JSON.parse(await readFile(join(directory, 'operations.json'), 'utf8')));
  return new Map(operations.map((text) => [/(?:query|mutation) (\w+)/.exec(text)?.[1] ?? '', text]));
}

test('the compiler takes connections, refetching by Node and edges, and the server answers what it makes', async () => {
  const operations = await compile(SOURCE);
  expect([...operations.keys()].sort()).toEqual(['TasksCreate', 'TasksDelete', 'TasksPage', 'TasksQuery', 'TasksRow']);
  expect(await readdir(join(directory, 'artifacts'))).toHaveLength(9);

  const run = async (name: string, variables: object) =>
    dataOf(await app.ask(operations.get(name) ?? '', { as: f.ada.id, variables: { ...variables } }));
  const { project } = await run('TasksQuery', { key: 'OPS' });
  const titles = (tasks: { edges: { node: { title: string } }[] }) => tasks.edges.map(({ node }) => node.title);
  expect(titles(project.tasks)).toEqual(['Task 6', 'Task 5']);
  const page = await run('TasksPage', { id: project.id, first: 10, after: project.tasks.pageInfo.endCursor });
  expect(titles(page.node.tasks)).toEqual(['Task 4', 'Task 3', 'Task 2', 'Task 1']);
  const row = await run('TasksRow', { id: f.opsTasks[0]?.id });
  expect(row.node).toMatchObject({ __typename: 'Task', identifier: 'OPS-1', assignee: { name: 'ADA' } });
  const { createTask } = await run('TasksCreate', { input: { projectId: f.ops.id, title: 'New' } });
  expect(createTask).toMatchObject({ task: { title: 'New' }, errors: [] });
  const { deleteTask } = await run('TasksDelete', { input: { id: createTask.task.id } });
  expect(deleteTask).toEqual({ deletedTaskId: createTask.task.id, errors: [] });
});

test('what is not a connection is refused by the compiler: it does read the schema', async () => {
  const source = SOURCE.replace('tasks(first: $first, after: $after)', 'stats').replace(/__id\s+edges \{.*\}/, 'total');
  await expect(compile(source)).rejects.toThrow('@connection');
});
