/**
 * The in-memory live query library for graphql-js, with this API's schema over data in memory: no database, no tokens, no rights. Each
 * mutation names what it invalidates, and each live query with that in its answer is executed again, each for itself.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { NoLiveMixedWithDeferStreamRule } from '@n1ru4l/graphql-live-query';
import { InMemoryLiveQueryStore } from '@n1ru4l/in-memory-live-query-store';
import { buildSchema, execute, graphql, specifiedRules, validate } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { ready } from './child.js';

interface Data {
  readonly users: readonly { id: string; name: string }[];
  readonly projects: readonly { id: string; key: string; name: string }[];
  readonly tasks: readonly {
    id: string;
    projectId: string;
    title: string;
    description: string;
    status: string;
    assigneeId: string;
  }[];
  readonly comments: readonly { id: string; taskId: string; authorId: string; body: string }[];
}
interface Page {
  readonly first: number;
}
interface Filter {
  readonly project?: { id: { eq: string } };
  readonly assignee?: { id: { eq: string } };
  readonly status?: { eq: string };
}

const data = JSON.parse(readFileSync(process.env['LIVE_DATA'] ?? '', 'utf8')) as Data;
const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const store = new InMemoryLiveQueryStore({ includeIdentifierExtension: false });

const byId = <T extends { readonly id: string }>(all: readonly T[]) => new Map(all.map((one) => [one.id, one]));
const firstOf = <T>(all: readonly T[], { first }: Page) => ({ nodes: all.slice(0, first) });
const grouped = <T>(all: readonly T[], keyOf: (one: T) => string) => {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
};

const users = byId(data.users);
const comments = grouped(
  data.comments.map((comment) => ({ ...comment, author: users.get(comment.authorId) })),
  ({ taskId }) => taskId,
);
const tasks = data.tasks.map((task) => ({
  ...task,
  version: 1,
  assignee: users.get(task.assigneeId),
  comments: (page: Page) => firstOf(comments.get(task.id) ?? [], page),
}));
const taskById = byId(tasks);
const tasksByProject = grouped(tasks, ({ projectId }) => projectId);
const tasksByAssignee = grouped(tasks, ({ assigneeId }) => assigneeId);
const projectByKey = new Map(
  data.projects.map(({ id, key, name }) => [
    key,
    { id, key, name, tasks: (page: Page) => firstOf(tasksByProject.get(id) ?? [], page) },
  ]),
);

const rootValue = {
  project: ({ key }: { key: string }) => projectByKey.get(key) ?? null,
  task: ({ id }: { id: string }) => taskById.get(id) ?? null,
  tasks: ({ filter: { project, assignee, status } = {}, ...page }: Page & { filter?: Filter }) => {
    const some = project ? tasksByProject.get(project.id.eq) : tasksByAssignee.get(assignee?.id.eq ?? '');
    return firstOf(
      (some ?? []).filter((task) => !status || task.status === status.eq),
      page,
    );
  },
  async updateTask({ input: { id, title } }: { input: { id: string; title: string } }) {
    const task = taskById.get(id);
    if (task === undefined) throw new Error(`expected the id of a task, got ${id}`);
    task.title = title;
    task.version++;
    // Not awaited: the answer to the mutation is what the delay counts from.
    void store.invalidate(`Task:${id}`);
    return { task, errors: [] };
  },
};

const server = createServer(async (request, response) => {
  const { query, variables } = JSON.parse(await bodyOf(request)) as {
    query: string;
    variables: Record<string, unknown>;
  };
  const result = await graphql({ schema, source: query, rootValue, variableValues: variables });
  response.setHeader('content-type', 'application/json').end(JSON.stringify(result));
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

useServer(
  {
    schema,
    roots: { query: rootValue },
    execute: store.makeExecute(execute) as typeof execute,
    validate: (given, document) => validate(given, document, [...specifiedRules, NoLiveMixedWithDeferStreamRule]),
  },
  new WebSocketServer({ server, perMessageDeflate: false }),
);
server.listen(0, '127.0.0.1', () => ready(server));
