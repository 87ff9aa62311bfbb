/** Who may see and change what, from cold and warm caches alike. */
import { and, eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { projectMembers } from '../../src/domain/projects/project.table.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

/** Everything of OPS that can be asked for, by every way there is. */
const everything = () => ({
  query: `query($t: ID!, $p: ID!, $l: ID!, $c: ID!, $u: ID!) {
    task(id: $t) { title } byIdentifier: task(identifier: "OPS-1") { title }
    project(id: $p) { name stats { total } } byKey: project(key: "OPS") { name }
    tasks(filter: { project: { id: { eq: $p } } }) { totalCount nodes { title } }
    projects { nodes { key } }
    taskNode: node(id: $t) { id } projectNode: node(id: $p) { id } labelNode: node(id: $l) { id } commentNode: node(id: $c) { id }
    user: node(id: $u) { ... on User { handle assignedTasks { totalCount nodes { title } } } }
  }`,
  variables: { t: f.opsTasks[0]?.id, p: f.ops.id, l: f.bug.id, c: commentId, u: f.ada.id },
});
let commentId: string;

async function see(as: UserId) {
  const { query, variables } = everything();
  return dataOf(await app.ask(query, { as, variables }));
}

const NOTHING = {
  task: null,
  byIdentifier: null,
  project: null,
  byKey: null,
  tasks: { totalCount: 0, nodes: [] },
  projects: { nodes: [] },
  taskNode: null,
  projectNode: null,
  labelNode: null,
  commentNode: null,
  user: null,
};

describe('reading', () => {
  beforeAll(async () => {
    const answer = await app.ask('{ task(identifier: "OPS-1") { comments { nodes { id } } } }', { as: f.ada.id });
    commentId = dataOf(answer).task.comments.nodes[0].id;
  });

  test('a viewer who is not a member sees nothing, also from a warm cache', async () => {
    expect(await see(f.eve.id)).toEqual(NOTHING);
    expect(await see(f.ada.id)).toMatchObject({
      task: { title: 'Task 1' },
      byKey: { name: 'Operations' },
      labelNode: { id: f.bug.id },
    });
    expect(await see(f.eve.id)).toEqual(NOTHING);
    app.reset();
    expect(await see(f.eve.id)).toEqual(NOTHING);
    expect(app.counts.statements).toEqual([]); // all of that came from the cache that ada filled
  });

  test('a member sees only the tasks of their own projects in a list of another user', async () => {
    const query = 'query($u: ID!) { node(id: $u) { ... on User { assignedTasks { nodes { identifier } } } } }';
    const identifiers = async (as: UserId) =>
      dataOf(await app.ask(query, { as, variables: { u: f.ada.id } })).node.assignedTasks.nodes.map(
        ({ identifier }: { identifier: string }) => identifier,
      );
    expect(await identifiers(f.ada.id)).toContain('WEB-1');
    expect(await identifiers(f.bob.id)).not.toContain('WEB-1');
  });

  test('a removed member is shut out with the next request, on every process', async () => {
    const other = await testApp({ databaseUrl: app.databaseUrl, group: app.group });
    try {
      const query = '{ projects { nodes { key } } task(identifier: "OPS-1") { title } }';
      for (const process of [app, other]) {
        expect(dataOf(await process.ask(query, { as: f.bob.id })).task).not.toBeNull();
      }
      await app.transactor.transact((tx) =>
        tx
          .delete(projectMembers)
          .where(and(eq(projectMembers.projectId, f.ops.id), eq(projectMembers.userId, f.bob.id))),
      );
      for (const process of [other, app]) {
        expect(dataOf(await process.ask(query, { as: f.bob.id }))).toEqual({ projects: { nodes: [] }, task: null });
      }
      await app.transactor.transact((tx) =>
        tx.insert(projectMembers).values({ projectId: f.ops.id, userId: f.bob.id, role: 'MEMBER' }),
      );
      expect(dataOf(await other.ask(query, { as: f.bob.id })).task).not.toBeNull();
    } finally {
      await other.close();
    }
  });
});

describe('writing', () => {
  const documents = () => ({
    createTask: { input: { projectId: f.ops.id, title: 'Mine' } },
    updateTask: { input: { id: f.opsTasks[0]?.id, title: 'Mine' } },
    deleteTask: { input: { id: f.opsTasks[0]?.id } },
    completeTask: { input: { id: f.opsTasks[0]?.id } },
    assignTask: { input: { id: f.opsTasks[0]?.id, assigneeId: f.ada.id } },
    createComment: { input: { taskId: f.opsTasks[0]?.id, body: 'Mine' } },
    createLabel: { input: { projectId: f.ops.id, name: 'mine' } },
  });
  const mutations = [
    'createTask',
    'updateTask',
    'deleteTask',
    'completeTask',
    'assignTask',
    'createComment',
    'createLabel',
  ] as const;

  test.each(mutations)(
    '%s is refused to strangers as if there were nothing, to viewers as not allowed',
    async (name) => {
      const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
      const document = `mutation($input: ${type}!) { ${name}(input: $input) { errors { __typename code path } } }`;
      const refusal = async (as: UserId) =>
        dataOf(await app.ask(document, { as, variables: documents()[name] }))[name].errors;
      const before = await see(f.ada.id);
      expect(await refusal(f.eve.id)).toMatchObject([{ __typename: 'NotFoundError', code: 'NOT_FOUND' }]);
      expect(await refusal(f.vic.id)).toMatchObject([{ __typename: 'PermissionError', code: 'FORBIDDEN' }]);
      expect(await see(f.ada.id)).toEqual(before);
    },
  );

  test('viewerCanUpdate says who may', async () => {
    const query = '{ task(identifier: "OPS-1") { viewerCanUpdate viewerCanDelete } }';
    expect(dataOf(await app.ask(query, { as: f.vic.id })).task).toEqual({
      viewerCanUpdate: false,
      viewerCanDelete: false,
    });
    expect(dataOf(await app.ask(query, { as: f.bob.id })).task).toEqual({
      viewerCanUpdate: true,
      viewerCanDelete: true,
    });
  });
});
