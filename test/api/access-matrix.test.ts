/**
 * Who may see and do what, for everything that the schema has: every role × every operation × a project of the viewer's and one of
 * others × a warm and a cold cache. A leak is any text of a project in an answer to somebody who is no member of it, or any
 * difference, to the byte, between the answer about what is hidden and about what does not exist. All queries once more through a
 * port with process memory, where warm means that the whole answer is known: to somebody who may see it, and to whoever asks; there each is
 * asked for as a live query, too.
 *
 * A new field of Query or Mutation fails this test until it has rows in OPERATIONS.
 */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type ProjectId, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { projectMembers, projects, type Role, taskNumbers } from '../../src/domain/projects/project.table.js';
import { trashedMembers, trashedProjects } from '../../src/domain/projects/trashed-project.table.js';
import { allRowSets } from '../../src/domain/registry.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { taskRelations } from '../../src/domain/tasks/task-relation.table.js';
import { moveIntoTrash } from '../../src/domain/trash/move-into-trash.js';
import { users } from '../../src/domain/users/user.table.js';
import { tableTag } from '../../src/engine/cache/index.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { eventually, type TestApp, TOKENS, testApp } from '../support/app.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { EventSourceClient, type Operation } from '../support/live-client.js';
import { fullDocument } from '../support/selection.js';

/** What a case is about: one of each kind, all of one project, or all of none. */
interface Target {
  readonly projectId: string;
  readonly key: string;
  readonly taskId: string;
  /** The parent of that task. */
  readonly parentTaskId: string;
  readonly identifier: string;
  readonly labelId: string;
  readonly commentId: string;
  /** A member who is none of the roles below. */
  readonly userId: string;
  readonly handle: string;
  /** An address that the member has stated, not verified. */
  readonly email: string;
  readonly label: string;
  readonly trashedTaskId: string;
  /** A project of the same members that is only there to be deleted, and one that has been deleted. */
  readonly otherProjectId: string;
  readonly otherKey: string;
  readonly deletedProjectId: string;
}

const READERS: readonly Actor[] = ['VIEWER', 'MEMBER', 'OWNER'];
const WRITERS: readonly Actor[] = ['MEMBER', 'OWNER'];
const SIGNED_IN: readonly Actor[] = ['stranger', 'VIEWER', 'MEMBER', 'OWNER', 'removed'];
const ACTORS = ['anonymous', ...SIGNED_IN] as const;
type Actor = 'anonymous' | 'stranger' | 'removed' | Role;

interface Case {
  /** Of this field, as the schema names it. */
  readonly field: string;
  readonly args?: string;
  readonly variables?: string;
  /** `own`: what belongs to a project that every signed-in actor owns. */
  readonly given?: (target: Target, own: Target) => Record<string, unknown>;
  /** Who is answered with the target's data, or may do it, in a project where they have that role. */
  readonly allowed: readonly Actor[];
  /** Whether who is allowed is shown texts of the project. Default: yes. */
  readonly shows?: boolean;
  /** Why the answer may tell what is hidden from what does not exist; such a case is counted by itself. */
  readonly tells?: string;
  readonly depth?: number;
}

const byId = (field: string, name: keyof Target): Case => ({
  field,
  args: 'id: $id',
  variables: '$id: ID!',
  given: (target) => ({ id: target[name] }),
  allowed: READERS,
  depth: 2,
});
const filtered = (filter: (target: Target) => object): Case => ({
  field: 'tasks',
  args: 'first: 2, filter: $filter',
  variables: '$filter: TaskFilter!',
  given: (target) => ({ filter: filter(target) }),
  allowed: READERS,
});
const unbound = (field: string, allowed: readonly Actor[] = SIGNED_IN): Case => ({ field, allowed, shows: false });
const write = (field: string, type: string, input: (target: Target, own: Target) => object): Case => ({
  field,
  args: 'input: $input',
  variables: `$input: ${type}!`,
  given: (target, own) => ({ input: input(target, own) }),
  allowed: WRITERS,
});
/** A write in one's own project that names something of another: refused to everybody, as that is of another project. */
const across = (field: string, type: string, input: (target: Target, own: Target) => object): Case => ({
  ...write(field, type, input),
  allowed: [],
});

const OPERATIONS: readonly { readonly kind: 'query' | 'mutation'; readonly cases: readonly Case[] }[] = [
  {
    kind: 'query',
    cases: [
      ...(['projectId', 'taskId', 'labelId', 'commentId', 'userId'] as const).map((name) => ({
        ...byId('node', name),
        depth: 1,
      })),
      // By two: all that a task can be asked for costs nearly half of what a query may.
      ...(
        [
          ['projectId', 'taskId'],
          ['labelId', 'commentId'],
          ['userId', 'taskId'],
        ] as const
      ).map((names) => ({
        field: 'nodes',
        args: 'ids: $ids',
        variables: '$ids: [ID!]!',
        given: (t: Target) => ({ ids: names.map((name) => t[name]) }),
        allowed: READERS,
      })),
      { ...byId('project', 'projectId'), depth: 1 },
      {
        ...byId('project', 'key'),
        depth: 1,
        args: 'key: $key',
        variables: '$key: String!',
        given: ({ key }) => ({ key }),
      },
      { ...byId('task', 'taskId'), depth: 1 },
      {
        ...byId('task', 'identifier'),
        depth: 1,
        args: 'identifier: $identifier',
        variables: '$identifier: String!',
        given: ({ identifier }) => ({ identifier }),
      },
      filtered(({ projectId }) => ({ project: { id: { eq: projectId } } })),
      filtered(({ key }) => ({ project: { key: { eq: key } } })),
      filtered(({ projectId }) => ({ project: { id: { eq: projectId } }, isBlocked: true })),
      filtered(({ taskId }) => ({ id: { eq: taskId } })),
      filtered(({ userId }) => ({ assignee: { id: { eq: userId } } })),
      filtered(({ handle }) => ({ creator: { handle: { eq: handle } } })),
      filtered(({ labelId }) => ({ labels: { some: { id: { eq: labelId } } } })),
      filtered(({ label }) => ({ labels: { some: { name: { eq: label } } } })),
      filtered(({ label }) => ({ title: { contains: label } })),
      filtered(({ label }) => ({ search: label })),
      // Negations reach for all the others.
      filtered(({ projectId }) => ({ not: { not: { project: { id: { in: [projectId] } } } } })),
      { ...filtered(({ taskId }) => ({ not: { id: { eq: taskId } } })), allowed: SIGNED_IN, shows: false },
      // Without a cursor no change is shown, so what is compared here is the refusal; task-changes-since.test.ts reads changes.
      {
        field: 'taskChangesSince',
        args: 'projectId: $projectId, first: 25',
        variables: '$projectId: ID!',
        given: ({ projectId }) => ({ projectId }),
        allowed: READERS,
        shows: false,
      },
      { ...unbound('taskChangesSince'), args: 'first: 25' },
      unbound('tasks'),
      { ...unbound('projects'), args: 'first: 8' },
      unbound('deletedProjects'),
      unbound('viewer'),
      // By handle an OWNER of any project finds everyone: see people.test.ts. By verified address: user-by-email.test.ts.
      { ...byId('user', 'userId'), depth: 1 },
      {
        field: 'user',
        args: 'email: $email',
        variables: '$email: String!',
        given: ({ email }) => ({ email }),
        allowed: [],
      },
      {
        field: 'users',
        args: 'search: $search, first: 2',
        variables: '$search: String!',
        given: ({ handle }) => ({ search: handle }),
        allowed: READERS,
      },
      unbound('rateLimit'),
      unbound('cacheStatistics', []),
      unbound('cachePolicies', []),
      {
        field: 'cacheTag',
        args: 'text: $text',
        variables: '$text: String!',
        given: ({ taskId }) => ({ text: taskId }),
        allowed: [],
        shows: false,
      },
    ],
  },
  {
    kind: 'mutation',
    cases: [
      write('createTask', 'CreateTaskInput', ({ projectId }) => ({ projectId, title: 'Mine' })),
      across('createTask', 'CreateTaskInput', ({ labelId }, { projectId }) => ({
        projectId,
        title: 'Mine',
        labelIds: [labelId],
      })),
      across('createTask', 'CreateTaskInput', ({ userId }, { projectId }) => ({
        projectId,
        title: 'Mine',
        assigneeId: userId,
      })),
      across('createTask', 'CreateTaskInput', ({ taskId }, { projectId }) => ({
        projectId,
        title: 'Mine',
        parentId: taskId,
      })),
      {
        ...write('createTasks', 'CreateTasksInput', ({ projectId }) => ({ tasks: [{ projectId, title: 'Mine' }] })),
      },
      across('createTasks', 'CreateTasksInput', ({ labelId }, { projectId }) => ({
        tasks: [{ projectId, title: 'Mine', labelIds: [labelId] }],
      })),
      write('updateTask', 'UpdateTaskInput', ({ taskId }) => ({ id: taskId, title: 'Mine' })),
      // With all that could be told before the right is asked for.
      { ...write('updateTask', 'UpdateTaskInput', ({ taskId }) => ({ id: taskId, expectedVersion: 99 })), allowed: [] },
      across('updateTask', 'UpdateTaskInput', ({ labelId }, { taskId }) => ({ id: taskId, labelIds: [labelId] })),
      across('updateTask', 'UpdateTaskInput', ({ userId }, { taskId }) => ({ id: taskId, assigneeId: userId })),
      across('updateTask', 'UpdateTaskInput', ({ taskId }, own) => ({ id: own.taskId, parentId: taskId })),
      write('completeTask', 'CompleteTaskInput', ({ taskId }) => ({ id: taskId })),
      write('assignTask', 'AssignTaskInput', ({ taskId, userId }) => ({ id: taskId, assigneeId: userId })),
      across('assignTask', 'AssignTaskInput', ({ userId }, { taskId }) => ({ id: taskId, assigneeId: userId })),
      { ...write('deleteTask', 'DeleteTaskInput', ({ taskId }) => ({ id: taskId })), shows: false },
      {
        ...write('deleteTasks', 'DeleteTasksInput', ({ taskId }) => ({ ids: [taskId] })),
        depth: 2,
        shows: false,
      },
      write('restoreTask', 'RestoreTaskInput', ({ trashedTaskId }) => ({ id: trashedTaskId })),
      {
        ...write('purgeTask', 'PurgeTaskInput', ({ trashedTaskId }) => ({ id: trashedTaskId })),
        allowed: ['OWNER'],
        shows: false,
      },
      write('reopenTask', 'ReopenTaskInput', ({ taskId }) => ({ id: taskId })),
      {
        ...write('moveTask', 'MoveTaskInput', ({ taskId }, own) => ({ id: taskId, projectId: own.projectId })),
        shows: false,
      },
      write('moveTaskInList', 'MoveTaskInListInput', ({ taskId, parentTaskId }) => ({
        id: taskId,
        before: parentTaskId,
      })),
      across('moveTaskInList', 'MoveTaskInListInput', ({ taskId }, own) => ({ id: own.taskId, after: taskId })),
      {
        ...write('updateTasks', 'UpdateTasksInput', ({ taskId }) => ({ ids: [taskId], priority: 'LOW' })),
        depth: 2,
      },
      across('updateTasks', 'UpdateTasksInput', ({ labelId }, own) => ({
        tasks: [{ id: own.taskId }],
        addLabelIds: [labelId],
      })),
      across('updateTasks', 'UpdateTasksInput', ({ taskId }, own) => ({ ids: [own.taskId], parentId: taskId })),
      write('addTaskRelation', 'AddTaskRelationInput', ({ taskId, parentTaskId }) => ({
        taskId,
        type: 'RELATES_TO',
        relatedTaskId: parentTaskId,
      })),
      write('addTaskRelation', 'AddTaskRelationInput', ({ taskId }, own) => ({
        taskId: own.taskId,
        type: 'BLOCKED_BY',
        relatedTaskId: taskId,
      })),
      write('removeTaskRelation', 'RemoveTaskRelationInput', ({ taskId, parentTaskId }) => ({
        taskId,
        type: 'BLOCKED_BY',
        relatedTaskId: parentTaskId,
      })),
      write('addLabels', 'AddLabelsInput', ({ taskId, labelId }) => ({ taskId, labelIds: [labelId] })),
      across('addLabels', 'AddLabelsInput', ({ labelId }, own) => ({ taskId: own.taskId, labelIds: [labelId] })),
      write('removeLabels', 'RemoveLabelsInput', ({ taskId, labelId }) => ({ taskId, labelIds: [labelId] })),
      // Comments are their author's; whether an OWNER may is tested with the mutations.
      {
        ...write('updateComment', 'UpdateCommentInput', ({ commentId }) => ({ id: commentId, body: 'Mine' })),
        allowed: [],
      },
      {
        ...write('deleteComment', 'DeleteCommentInput', ({ commentId }) => ({ id: commentId })),
        allowed: ['OWNER'],
        shows: false,
      },
      write('updateLabel', 'UpdateLabelInput', ({ labelId }) => ({ id: labelId, description: 'Mine' })),
      { ...write('deleteLabel', 'DeleteLabelInput', ({ labelId }) => ({ id: labelId })), shows: false },
      {
        ...write('updateProject', 'UpdateProjectInput', ({ projectId }) => ({ id: projectId, description: 'Mine' })),
        allowed: ['OWNER'],
      },
      {
        ...write('archiveProject', 'ArchiveProjectInput', ({ projectId }) => ({ id: projectId, archived: false })),
        allowed: ['OWNER'],
      },
      {
        ...write('deleteProject', 'DeleteProjectInput', ({ otherProjectId, otherKey }) => ({
          id: otherProjectId,
          key: otherKey,
        })),
        allowed: ['OWNER'],
        shows: false,
      },
      {
        ...write('restoreProject', 'RestoreProjectInput', ({ deletedProjectId }) => ({ id: deletedProjectId })),
        allowed: ['OWNER'],
      },
      {
        ...write('addMember', 'AddMemberInput', ({ projectId, userId }) => ({ projectId, userId, role: 'OWNER' })),
        allowed: ['OWNER'],
      },
      {
        ...write('updateMember', 'UpdateMemberInput', ({ projectId, userId }) => ({
          projectId,
          userId,
          role: 'OWNER',
        })),
        allowed: ['OWNER'],
      },
      {
        ...write('removeMember', 'RemoveMemberInput', ({ projectId }, own) => ({ projectId, userId: own.userId })),
        allowed: [],
      },
      { ...write('createComment', 'CreateCommentInput', ({ taskId }) => ({ taskId, body: 'Mine' })), depth: 2 },
      {
        ...write('createLabel', 'CreateLabelInput', ({ projectId, taskId }) => ({ projectId, name: `for ${taskId}` })),
        shows: false,
      },
      {
        ...write('createProject', 'CreateProjectInput', ({ key }) => ({ key, name: 'Mine' })),
        allowed: [],
        tells: 'keys are unique in the whole installation, so a key that is taken cannot be given again',
      },
      {
        ...write('exportProject', 'ExportProjectInput', ({ projectId }) => ({ projectId, format: 'JSONL' })),
        allowed: READERS,
        shows: false,
      },
      {
        ...write('inviteMember', 'InviteMemberInput', ({ projectId, taskId }) => ({
          ...{ projectId, email: `${taskId}@example.com`, role: 'VIEWER' },
        })),
        allowed: ['OWNER'],
        shows: false,
      },
      // Their ids and tokens name no target; people.test.ts compares what is hidden with what does not exist.
      { ...write('acceptInvitation', 'AcceptInvitationInput', () => ({ token: 'A'.repeat(43) })), allowed: [] },
      { ...write('revokeInvitation', 'RevokeInvitationInput', () => ({ id: newId('invitation') })), allowed: [] },
      {
        ...write('createWebhook', 'CreateWebhookInput', ({ projectId }) => ({
          ...{ projectId, url: 'https://hooks.example.com/tasks' },
        })),
        allowed: ['OWNER'],
        shows: false,
      },
      // Their ids name no target, either; webhooks.test.ts compares what is hidden with what does not exist.
      ...['updateWebhook', 'rotateWebhookSecret', 'deleteWebhook'].map((field) => ({
        ...write(field, `${field[0]?.toUpperCase()}${field.slice(1)}Input`, () => ({ id: newId('webhook') })),
        allowed: [],
      })),
      {
        ...write('redeliverWebhook', 'RedeliverWebhookInput', () => ({ deliveryId: newId('delivery') })),
        allowed: [],
      },
      { ...write('updateProfile', 'UpdateProfileInput', () => ({})), allowed: SIGNED_IN, shows: false },
      { ...write('deactivateUser', 'DeactivateUserInput', ({ userId }) => ({ id: userId })), allowed: [] },
      { ...write('reactivateUser', 'ReactivateUserInput', ({ userId }) => ({ id: userId })), allowed: [] },
      {
        ...write('invalidateCache', 'InvalidateCacheInput', () => ({ tags: ['tasks'] })),
        allowed: [],
      },
    ],
  },
];

interface World {
  /** The project in which the actors have, or had, their roles. */
  readonly mine: Place;
  /** The project of somebody else. */
  readonly foreign: Place;
  readonly actors: Readonly<Record<Exclude<Actor, 'anonymous'>, { readonly id: UserId; readonly own: Target }>>;
}
interface Place {
  /** In every text of the project's. */
  readonly mark: string;
  readonly projectId: ProjectId;
  readonly target: Target;
  /** An OWNER who is none of the actors. */
  readonly insider: UserId;
}

let app: TestApp;
/** The same, where it is asked through its port, and keeps answers. */
let live: LiveApp | undefined;
let world: World;
/** Where something was told, and where the test itself did not see what it should: then it proves nothing. */
const leaks: string[] = [];
const faults: string[] = [];
const count = { cells: 0, requests: 0, known: 0, compared: 0, refusals: 0, grants: 0 };
/** Of these no answer is kept: they tell of the request, or of the server. */
const NEVER_KNOWN = ['rateLimit', 'cacheStatistics', 'cachePolicies', 'cacheTag', 'taskChangesSince'];
const NEAR_CACHE_BYTES = 64 * 1024 * 1024;

async function prepare(of: TestApp): Promise<void> {
  app = of;
  for (const name of Object.keys(count) as (keyof typeof count)[]) count[name] = 0;
  for (const found of [leaks, faults]) found.length = 0;
  world = (await app.transactor.transact(writeWorld)).value;
  // Whoever was a member has seen it all.
  const { id } = world.actors.removed;
  await join(id, 'MEMBER');
  for (const one of OPERATIONS[0]?.cases ?? []) await run('query', one, 'removed', world.mine.target);
  await app.settled();
  await app.transactor.transact((tx) =>
    tx.delete(projectMembers).where(sql`${projectMembers.userId} = ${toUuid(id)} and role = 'MEMBER'`),
  );
}

async function end(): Promise<void> {
  console.log(
    `access matrix: ${count.cells} cells, ${count.requests} requests, of which ${count.known} were answered as known; ` +
      `${count.refusals} refusals, of which ${count.compared} were compared with what does not exist; ${count.grants} grants; ` +
      `${leaks.length} leaks, ${faults.length} faults`,
  );
  await app?.close();
}

const CELL_MS = 120_000;
const titled = (cases: readonly Case[]) =>
  cases.map((one, i) => [`${one.field} (${describeCase(one)}) #${i}`, one] as const);

async function row(kind: 'query' | 'mutation', one: Case, temperatures: readonly boolean[]): Promise<void> {
  const before = { leaks: leaks.length, faults: faults.length };
  const absent = absentAnswers(kind, one);
  for (const warm of temperatures) {
    for (const place of [world.mine, world.foreign]) {
      // What a query finds warm is not changed by those who ask next.
      if (warm && kind === 'query') await fill(kind, one, place);
      for (const actor of ACTORS) await cell(kind, one, { actor, place, warm, absent });
    }
  }
  expect(leaks.slice(before.leaks)).toEqual([]);
  expect(faults.slice(before.faults)).toEqual([]);
}

async function nothingWasChanged(): Promise<void> {
  const [task] = await app.db.read
    .select()
    .from(tasks)
    .where(sql`${tasks.id} = ${toUuid(world.foreign.target.taskId as TaskId)}`);
  expect(task).toMatchObject({ version: 1, title: expect.stringContaining(world.foreign.mark) });
  expect([leaks, faults]).toEqual([[], []]);
}

describe('from entries, warm and cold', () => {
  beforeAll(async () => prepare(await testApp()));
  afterAll(end);

  test('every query and mutation of the schema has rows here, and no row is of a field that is gone', () => {
    for (const { kind, cases } of OPERATIONS) {
      const type = kind === 'query' ? app.schema.getQueryType() : app.schema.getMutationType();
      const fields = Object.keys(type?.getFields() ?? {});
      const rows = new Set(cases.map(({ field }) => field));
      const without = fields.filter((field) => !rows.has(field)).map((field) => `${type?.name}.${field}`);
      expect(
        without,
        'These fields have no rows in OPERATIONS of this test: say there who may ask for them, and with what of a project.',
      ).toEqual([]);
      expect([...rows].filter((field) => !fields.includes(field))).toEqual([]);
    }
  });

  describe.each(OPERATIONS)('$kind', ({ kind, cases }) => {
    test.each(titled(cases))('%s leaks nothing', (_, one) => row(kind, one, [false, true]), CELL_MS);
  });

  test('nothing of the others’ project was changed by anybody', nothingWasChanged);
});

describe('from answers that are known', () => {
  beforeAll(async () => {
    live = await liveApp({ nearCacheBytes: NEAR_CACHE_BYTES });
    await prepare(live);
    expect(count.known).toBeGreaterThan(0); // whoever is removed then
  });
  afterAll(async () => {
    await end();
    live = undefined;
  });

  test.each(titled(OPERATIONS[0]?.cases ?? []))(
    'query %s leaks nothing',
    async (_, one) => {
      const before = count.known;
      await row('query', one, [true]);
      if (NEVER_KNOWN.includes(one.field)) expect(count.known).toBe(before);
      else expect(count.known).toBeGreaterThan(before);
    },
    CELL_MS,
  );

  test('nothing was changed by asking', nothingWasChanged);
});

interface Cell {
  readonly actor: Actor;
  readonly place: Place;
  readonly warm: boolean;
  /** What the actor is answered about what does not exist. */
  readonly absent: (actor: Actor) => Promise<string>;
}

/** Asked once by each actor: no cache, warm or cold, knows of ids that were made for the question. */
function absentAnswers(kind: 'query' | 'mutation', one: Case): Cell['absent'] {
  const answers = new Map<Actor, Promise<string>>();
  const ask = async (actor: Actor) => {
    const missing = missingTarget();
    return neutral(await run(kind, one, actor, missing), missing);
  };
  return (actor) => {
    const answer = answers.get(actor) ?? ask(actor);
    answers.set(actor, answer);
    return answer;
  };
}

/** One cell: asks, looks for texts that do not belong there, and compares with what does not exist. */
async function cell(kind: 'query' | 'mutation', one: Case, { actor, place, warm, absent }: Cell): Promise<void> {
  count.cells++;
  const member = place === world.mine && (READERS as readonly string[]).includes(actor);
  const granted = one.allowed.includes(actor) && (member || one.allowed === SIGNED_IN);
  // A write that is granted changes its target, so each has one of its own.
  const target = kind === 'mutation' && granted ? await freshTarget(place) : place.target;
  const where = `${kind} ${one.field} (${describeCase(one)}), ${actor}, ${place === world.mine ? 'mine' : 'foreign'}, ${warm ? 'warm' : 'cold'}`;
  const leak = (what: string) => leaks.push(`${where}: ${what}`);
  const fault = (what: string) => faults.push(`${where}: ${what}`);

  const rowsBefore = kind === 'mutation' && !granted ? await digestOfRows() : undefined;
  if (!warm) await forgetAll();
  else if (kind === 'mutation') await fill(kind, one, place);
  const answer = await run(kind, one, actor, target);
  for (const other of [world.mine, world.foreign]) {
    const maySee = other === world.mine && (READERS as readonly string[]).includes(actor);
    const text = withoutGiven(answer.body, one.given?.(target, ownOf(actor)));
    if (!maySee && text.includes(other.mark))
      leak(`shows texts of a project that is not theirs: ${excerpt(text, other.mark)}`);
  }
  if (rowsBefore !== undefined && (await digestOfRows()) !== rowsBefore) leak('changed rows');

  const broken = /QUERY_TOO_EXPENSIVE|GRAPHQL_VALIDATION_FAILED|INTERNAL_SERVER_ERROR/.exec(answer.body);
  if (broken !== null) fault(`did not run: ${answer.body}`);

  if (granted) {
    count.grants++;
    if (answer.status !== 200) fault(`was refused: ${answer.body}`);
    if (kind === 'mutation' && !answer.body.includes('"errors":[]')) fault(`was refused: ${answer.body}`);
    // Else nothing could be seen to leak either.
    if (one.shows !== false && !answer.body.includes(place.mark)) fault(`shows nothing: ${answer.body.slice(0, 300)}`);
    return;
  }
  count.refusals++;
  if (member && actor !== 'anonymous') return; // knows the project: a refusal may say why
  if (one.given === undefined) return; // about nothing in particular
  const [hidden, gone] = [neutral(answer, target), await absent(actor)];
  if (one.tells !== undefined) return;
  count.compared++;
  if (hidden !== gone) leak(`hidden and missing differ:\n  ${hidden}\n  ${gone}`);
}

interface Answered {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

async function run(kind: string, one: Case, actor: Actor, target: Target): Promise<Answered> {
  const { args = '', variables = '', depth = 1, field } = one;
  const operation = {
    query: fullDocument(app.schema, { kind, field, args, variables, depth }),
    variables: one.given?.(target, ownOf(actor)) ?? {},
  };
  const asking = () => ask(actor === 'anonymous' ? undefined : world.actors[actor].id, operation);
  const made = await asking();
  if (live === undefined || NEVER_KNOWN.includes(field)) return made;
  // Now as known, where it may be: what is looked at is the text that was kept.
  const known = await asking();
  if (neutral(known, target) !== neutral(made, target)) {
    faults.push(`${field} (${describeCase(one)}), ${actor}: made and known differ:\n  ${made.body}\n  ${known.body}`);
  }
  if (actor !== 'anonymous' && made.status === 200) {
    const pushed = { ...made, body: await firstLive(live, world.actors[actor].id, operation) };
    const placed = (answer: Answered) => neutral(answer, target).replaceAll(/"column\\":\d+/g, 'column');
    if (placed(pushed) !== placed(made)) {
      faults.push(
        `${field} (${describeCase(one)}), ${actor}: live and by POST differ:\n  ${pushed.body}\n  ${made.body}`,
      );
    }
  }
  return known;
}

/** The first answer of the query as a live one. */
async function firstLive(to: LiveApp, as: UserId, { query, variables }: Operation): Promise<string> {
  const events = await EventSourceClient.open(to, as, { query: query.replace('{', '@live {'), variables });
  await eventually(() => expect(events.answers.length + events.errors.length).toBeGreaterThan(0));
  events.leave();
  return events.answers[0] ?? JSON.stringify(events.errors);
}

async function ask(as: UserId | undefined, payload: object): Promise<Answered> {
  count.requests++;
  const authorization = as === undefined ? {} : { authorization: `Bearer ${await tokenOf(as)}` };
  if (live === undefined) {
    const request = { method: 'POST', url: '/graphql', headers: authorization, payload } as const;
    const { statusCode, headers, body } = await app.server.inject(request);
    return { status: statusCode, headers, body };
  }
  live.reset();
  const headers = { 'content-type': 'application/json', ...authorization };
  const response = await fetch(live.url, { method: 'POST', headers, body: JSON.stringify(payload) });
  const body = await response.text();
  if (live.outcomes.some(({ name, kind }) => name === 'Answer' && kind === 'near-hit')) count.known++;
  return { status: response.status, headers: Object.fromEntries(response.headers), body };
}

const tokens = new Map<UserId, Promise<string>>();
function tokenOf(id: UserId): Promise<string> {
  const made = tokens.get(id) ?? signToken(TOKENS, id, '1h');
  tokens.set(id, made);
  return made;
}

/** Cold: nothing that is cached counts any more. */
async function forgetAll(): Promise<void> {
  await app.cache.store.invalidate(allRowSets.map(({ table }) => tableTag(table)));
}

/** Warm: somebody who may has just asked for the same, and knows the answer where answers are kept. A mutation has no cached answer; what it reads about is asked for instead. */
async function fill(kind: string, one: Case, place: Place): Promise<void> {
  const { args = '', variables = '', depth = 1, field } = one;
  const query =
    kind === 'query'
      ? fullDocument(app.schema, { kind, field, args, variables, depth })
      : fullDocument(app.schema, {
          kind: 'query',
          field: 'nodes',
          args: 'ids: $ids',
          variables: '$ids: [ID!]!',
          depth: 1,
        });
  const { taskId, labelId, commentId, projectId } = place.target;
  const given =
    kind === 'query' ? one.given?.(place.target, place.target) : { ids: [taskId, labelId, commentId, projectId] };
  for (let i = 0; i < (live === undefined ? 1 : 2); i++) await ask(place.insider, { query, variables: given ?? {} });
  await app.settled();
}

/** What may differ between two answers without telling anything: the ids that were sent, a request's id, times. */
function neutral({ status, headers, body }: Answered, target: Target): string {
  const ignored = new Set(['date', 'server-timing', 'x-request-id', 'connection', 'keep-alive']);
  const told = Object.entries(headers).filter(([name]) => !ignored.has(name));
  let text = JSON.stringify([status, told.sort(), body]);
  for (const [name, value] of Object.entries(target)) text = text.replaceAll(value, `<${name}>`);
  return text.replaceAll(/\\"requestId\\":\\"[0-9a-f-]{36}\\"/g, '<requestId>');
}

/** What the client itself sent may come back to it. */
function withoutGiven(body: string, given: unknown): string {
  if (typeof given === 'string') return body.replaceAll(given, '');
  if (typeof given !== 'object' || given === null) return body;
  return Object.values(given).reduce<string>((text, value) => withoutGiven(text, value), body);
}

function excerpt(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return text.slice(Math.max(0, at - 80), at + 80);
}

function describeCase({ args = '', given }: Case): string {
  const names = given === undefined ? '' : JSON.stringify(given(NAMES, OWN_NAMES)).replaceAll('"', '');
  return names || args || 'all';
}

const NAMES: Target = {
  projectId: 'projectId',
  key: 'key',
  taskId: 'taskId',
  parentTaskId: 'parentTaskId',
  identifier: 'identifier',
  labelId: 'labelId',
  commentId: 'commentId',
  userId: 'userId',
  handle: 'handle',
  email: 'email',
  label: 'label',
  trashedTaskId: 'trashedTaskId',
  otherProjectId: 'otherProjectId',
  otherKey: 'otherKey',
  deletedProjectId: 'deletedProjectId',
};
const OWN_NAMES: Target = { ...NAMES, projectId: 'own projectId', taskId: 'own taskId' };

/** Well formed, of the same lengths, and of nothing. */
function missingTarget(): Target {
  return {
    projectId: newId('project'),
    key: 'ZQNONEKEY',
    taskId: newId('task'),
    parentTaskId: newId('task'),
    identifier: 'ZQNONEKEY-1',
    labelId: newId('label'),
    commentId: newId('comment'),
    userId: newId('user'),
    handle: 'zqnone-someone',
    email: 'zqnone-someone@example.com',
    label: 'zqnone-label',
    trashedTaskId: newId('task'),
    otherProjectId: newId('project'),
    otherKey: 'ZQNONE1000',
    deletedProjectId: newId('project'),
  };
}

function ownOf(actor: Actor): Target {
  return actor === 'anonymous' ? world.actors.stranger.own : world.actors[actor].own;
}

/** All rows of what a write could change, as one text. */
async function digestOfRows(): Promise<string> {
  const [row] = await app.db.read.execute<{ digest: string }>(sql`select md5(concat(
    (select string_agg(t::text, ';' order by t.id) from tasks t), (select string_agg(c::text, ';' order by c.id) from comments c),
    (select string_agg(l::text, ';' order by l.id) from labels l), (select string_agg(p::text, ';' order by p.id) from projects p),
    (select string_agg(m::text, ';' order by m.project_id, m.user_id) from project_members m),
    (select string_agg(l::text, ';' order by l.task_id, l.label_id) from task_labels l),
    (select string_agg(r::text, ';' order by r.task_id, r.type, r.related_task_id) from task_relations r),
    (select string_agg(t::text, ';' order by t.id) from trashed_tasks t),
    (select string_agg(m::text, ';' order by m.project_id, m.user_id) from trashed_members m))) as digest`);
  return row?.digest ?? '';
}

async function join(userId: UserId, role: Role): Promise<void> {
  await app.transactor.transact((tx) =>
    tx.insert(projectMembers).values({ projectId: world.mine.projectId, userId, role }),
  );
}

let numbers = 1000;

/** Another task with a comment and a label, in the same project, and other projects to delete and restore. */
async function freshTarget(place: Place): Promise<Target> {
  const { value } = await app.transactor.transact(async (tx) => ({
    ...(await writeTask(tx, place.projectId, place.target.userId as UserId, { mark: place.mark, number: numbers++ })),
    ...(await writeOtherProjects(tx, place.projectId, place.mark)),
  }));
  return { ...place.target, ...value };
}

async function writeWorld(tx: Transaction): Promise<World> {
  const mine = await writePlace(tx, 'ZQMINE');
  const foreign = await writePlace(tx, 'ZQALIEN');
  const actor = async (handle: string) => {
    const [user] = await tx.insert(users).values({ handle, name: handle }).returning();
    const id = (user as { id: UserId }).id;
    const place = await writePlace(tx, `OWN${handle.toUpperCase()}`, id);
    return { id, own: place.target };
  };
  const actors = {
    stranger: await actor('eve'),
    VIEWER: await actor('vic'),
    MEMBER: await actor('bob'),
    OWNER: await actor('ada'),
    removed: await actor('rex'),
  };
  for (const role of ['VIEWER', 'MEMBER', 'OWNER'] as const) {
    await tx.insert(projectMembers).values({ projectId: mine.projectId, userId: actors[role].id, role });
  }
  // What is hidden is related to what is not.
  await relate(tx, { from: foreign.target, to: mine.target });
  const others = await writeOtherProjects(tx, mine.projectId, mine.mark);
  return { mine: { ...mine, target: { ...mine.target, ...others } }, foreign, actors };
}

/** Two projects with the members of another: one to delete, and one that has been deleted. */
async function writeOtherProjects(tx: Transaction, projectId: ProjectId, mark: string) {
  const [otherProjectId, deletedProjectId] = [newId('project'), newId('project')];
  const otherKey = `ZQKEPT${numbers++}`;
  const name = `${mark} other project`;
  await tx.insert(projects).values([
    { id: otherProjectId, key: otherKey, name },
    { id: deletedProjectId, key: `ZQGONE${numbers++}`, name },
  ]);
  await tx.insert(trashedProjects).values({ id: deletedProjectId, deletedAt: sql`now()` });
  const members = await tx.select().from(projectMembers).where(eq(projectMembers.projectId, projectId));
  await tx.insert(projectMembers).values(members.map((member) => ({ ...member, projectId: otherProjectId })));
  await tx
    .insert(trashedMembers)
    .values(members.map((member) => ({ ...member, projectId: deletedProjectId, deletedAt: sql`now()` })));
  return { otherProjectId, otherKey, deletedProjectId };
}

/** A project whose every text has the mark, with an owner of its own besides `owner`. */
async function writePlace(tx: Transaction, mark: string, owner?: UserId): Promise<Place> {
  const key = mark.padEnd(9, 'X').slice(0, 9);
  const handle = `${mark}-someone`;
  const email = `${handle.toLowerCase()}@example.com`;
  const [someone] = await tx
    .insert(users)
    .values({ handle, email, name: `${mark} someone` })
    .returning();
  const insider = (someone as { id: UserId }).id;
  const [project] = await tx
    .insert(projects)
    .values({ key, name: `${mark} project`, description: `${mark} description` })
    .returning();
  const projectId = (project as { id: ProjectId }).id;
  await tx.insert(projectMembers).values({ projectId, userId: insider, role: 'OWNER' });
  if (owner !== undefined) await tx.insert(projectMembers).values({ projectId, userId: owner, role: 'OWNER' });
  await tx.insert(taskNumbers).values({ projectId, last: 5000 });
  const target = {
    ...(await writeTask(tx, projectId, insider, { mark, number: 1 })),
    ...(await writeOtherProjects(tx, projectId, mark)),
  };
  return {
    mark,
    projectId,
    insider,
    target: { projectId, key, identifier: `${key}-1`, userId: insider, handle, email, ...target },
  };
}

async function writeTask(
  tx: Transaction,
  projectId: ProjectId,
  by: UserId,
  { mark, number }: { mark: string; number: number },
) {
  const label = number === 1 ? `${mark}-label` : `${mark}-label-${number}`;
  const ids = { taskId: newId('task'), labelId: newId('label'), commentId: newId('comment') };
  const parent = newId('task');
  const task = { projectId, creatorId: by, assigneeId: by, description: `${mark} description` };
  await tx.insert(tasks).values([
    { ...task, id: parent, number: number + 10_000, title: `${mark}-label parent` },
    { ...task, id: ids.taskId, number, title: `${mark}-label task`, parentId: parent },
  ]);
  await relate(tx, { from: { projectId, taskId: parent }, to: { projectId, taskId: ids.taskId } });
  await tx
    .insert(labels)
    .values({ id: ids.labelId, projectId, name: label, color: '#112233', description: `${mark} label` });
  await tx.insert(taskLabels).values({ projectId, taskId: ids.taskId, labelId: ids.labelId });
  await tx.insert(comments).values({ id: ids.commentId, taskId: ids.taskId, authorId: by, body: `${mark} body` });
  const trashed = await writeTrashedTask(tx, projectId, by, { mark, number: number + 20_000 });
  return { ...ids, parentTaskId: parent, label, trashedTaskId: trashed };
}

interface End {
  readonly projectId: string;
  readonly taskId: string;
}

async function relate(tx: Transaction, { from, to }: { from: End; to: End }) {
  await tx.insert(taskRelations).values({
    taskId: from.taskId as TaskId,
    projectId: from.projectId as ProjectId,
    type: 'BLOCKS',
    relatedTaskId: to.taskId as TaskId,
    relatedProjectId: to.projectId as ProjectId,
  });
}

async function writeTrashedTask(
  tx: Transaction,
  projectId: ProjectId,
  by: UserId,
  { mark, number }: { mark: string; number: number },
) {
  const id = newId('task');
  await tx.insert(tasks).values({ id, projectId, number, creatorId: by, title: `${mark} deleted task` });
  await moveIntoTrash(tx, { removed: [{ id, subtaskIds: [] }], deletedBy: by });
  return id;
}
