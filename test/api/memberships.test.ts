/** How many projects a user may be a member of, who may bring that about, and what a list over many of them costs. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { MAX_ADDED, MAX_ADDED_BY_ONE, MAX_CREATED } from '../../src/domain/projects/memberships.js';
import { users } from '../../src/domain/users/user.table.js';
import { COSTS } from '../../src/graphql/limits.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { expectRefusal } from '../support/mutations.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

async function newUser(handle: string): Promise<UserId> {
  const id = newId('user');
  await app.transactor.transact((tx) => tx.insert(users).values({ id, handle, name: handle }));
  return id;
}

let projects = 0;
/** Memberships in new projects, each of which `by` owns, with a task by the user. `by`: who has made the user a member. */
async function join(userId: UserId, count: number, { by, role }: { by: UserId | null; role: 'OWNER' | 'MEMBER' }) {
  const from = projects;
  projects += count;
  await app.transactor.transact(async (tx) => {
    const key = sql`'M' || to_char(n, 'FM00000')`;
    const numbers = sql`generate_series(${from + 1}::int, ${from + count}::int) as n`;
    await tx.execute(
      sql`insert into projects (id, key, name) select gen_random_uuid(), ${key}, 'Many ' || n from ${numbers}`,
    );
    const made = sql`select id from projects join ${numbers} on key = ${key}`;
    await tx.execute(sql`insert into task_numbers (project_id, last) select id, 1 from (${made}) as made`);
    await tx.execute(sql`
      insert into project_members (project_id, user_id, role, added_by)
      select id, ${toUuid(userId)}, ${role}::project_role, ${by && toUuid(by)} from (${made}) as made`);
    await tx.execute(sql`
      insert into project_members (project_id, user_id, role)
      select id, ${toUuid(f.ada.id)}, 'OWNER' from (${made}) as made on conflict do nothing`);
    await tx.execute(sql`
      insert into tasks (id, project_id, number, title, creator_id)
      select gen_random_uuid(), id, 1, 'In ' || id, ${toUuid(userId)} from (${made}) as made`);
  });
}

const mutate = async (name: string, input: object, as: UserId) => {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation ($i: ${type}!) { ${name}(input: $i) { errors { __typename code message path } } }`;
  return dataOf(await app.ask(document, { as, variables: { i: input } }))[name];
};
let created = 0;
const create = (as: UserId) => mutate('createProject', { key: `C${++created}`, name: 'Created' }, as);
const add = (userId: UserId, as: UserId, projectId: string = f.ops.id, role = 'MEMBER') =>
  mutate('addMember', { projectId, userId, role }, as);
const OK = { errors: [] };
const projectsOf = async (as: UserId): Promise<string[]> =>
  dataOf(await app.ask('{ projects(first: 2) { nodes { id } } }', { as })).projects.nodes.map(
    ({ id }: { id: string }) => id,
  );
const firstProjectOf = async (as: UserId) => (await projectsOf(as))[0];

describe('a user', () => {
  test('creates as many projects as allowed, and another one after leaving one', async () => {
    const founder = await newUser('founder');
    await join(founder, MAX_CREATED - 1, { by: founder, role: 'OWNER' });
    const projectId = await firstProjectOf(founder); // has another owner
    expect(await create(founder)).toEqual(OK);
    expectRefusal(await create(founder), 'ValidationError');
    expect(await mutate('removeMember', { projectId, userId: founder }, founder)).toEqual(OK);
    expect(await create(founder)).toEqual(OK);
  });

  test('creates projects however many others have added it to, or an operator', async () => {
    const busy = await newUser('busy');
    await join(busy, MAX_ADDED, { by: f.bob.id, role: 'MEMBER' });
    await join(busy, MAX_CREATED, { by: null, role: 'MEMBER' });
    expect(await create(busy)).toEqual(OK);
  });

  test('is added by one person to as many projects as allowed, then by others still', async () => {
    const victim = await newUser('victim');
    await join(victim, MAX_ADDED_BY_ONE, { by: f.ada.id, role: 'MEMBER' });
    expectRefusal(await add(victim, f.ada.id), 'ValidationError', 'userId');
    expect(await mutate('createProject', { key: 'BOBS', name: "Bob's" }, f.bob.id)).toEqual(OK);
    const { project } = dataOf(await app.ask('{ project(key: "BOBS") { id } }', { as: f.bob.id }));
    expect(await add(victim, f.bob.id, project.id)).toEqual(OK);
    // One less by ada: she may add again.
    const projectId = (await projectsOf(victim)).find((id) => id !== project.id);
    expect(await mutate('removeMember', { projectId, userId: victim }, victim)).toEqual(OK);
    expect(await add(victim, f.ada.id)).toEqual(OK);
  });

  test('is added by all others together to as many as allowed, and stays what it is elsewhere', async () => {
    const popular = await newUser('popular');
    await join(popular, MAX_ADDED, { by: f.bob.id, role: 'MEMBER' });
    expectRefusal(await add(popular, f.ada.id), 'ValidationError', 'userId');
    expect(await add(popular, f.ada.id, await firstProjectOf(popular), 'MEMBER')).toEqual(OK);
  });

  test('creates projects and joins them by invitations, together as many as allowed', async () => {
    const guest = await newUser('guest');
    await join(guest, MAX_CREATED - 1, { by: guest, role: 'MEMBER' });
    const projectId = await firstProjectOf(guest);
    const invite = async (id: string, as: UserId) => {
      const input = { projectId: id, email: 'guest@example.com', role: 'MEMBER' };
      const document = 'mutation ($i: InviteMemberInput!) { inviteMember(input: $i) { token } }';
      return dataOf(await app.ask(document, { as, variables: { i: input } })).inviteMember.token as string;
    };
    const accept = (token: string) => mutate('acceptInvitation', { token }, guest);
    const [first, second] = [await invite(f.ops.id, f.ada.id), await invite(f.web.id, f.ada.id)];
    expect(await accept(first)).toEqual(OK);
    const refused = await accept(second);
    expectRefusal(refused, 'ValidationError', 'token');
    expect(refused.errors).toMatchObject([{ code: 'LIMIT' }]);
    expectRefusal(await create(guest), 'ValidationError');
    expect(await mutate('removeMember', { projectId, userId: guest }, guest)).toEqual(OK);
    expect(await accept(second)).toEqual(OK); // the refusal has not used it up
    expectRefusal(await create(guest), 'ValidationError');
    // What others add the user to has bounds of its own.
    expect(await add(guest, f.ada.id, projectId)).toEqual(OK);
  });

  test('is not added twice to the last place by two writes at once', async () => {
    const wanted = await newUser('wanted');
    await join(wanted, MAX_ADDED - 1, { by: f.bob.id, role: 'MEMBER' });
    const results = await Promise.all([add(wanted, f.ada.id), add(wanted, f.ada.id, f.web.id)]);
    expect(results.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
  });
});

describe('a list over very many projects', () => {
  const MANY = 300;
  let member: UserId;
  beforeAll(async () => {
    member = await newUser('member');
    await join(member, MANY, { by: f.bob.id, role: 'MEMBER' });
  });
  const ask = async (document: string) => {
    await app.settled();
    app.reset();
    const data = dataOf(await app.ask(document, { as: member }));
    return { data, of: (name: string) => app.outcomes.filter((outcome) => outcome.name === name) };
  };

  test('is read from Postgres each time, and nothing of it is stored', async () => {
    for (let i = 0; i < 2; i++) {
      const { data, of } = await ask('{ tasks(first: 3) { totalCount nodes { id } } }');
      expect(data.tasks.totalCount).toBe(MANY);
      expect(of('TaskPageHeavy')).toMatchObject([{ kind: 'bypass', reason: 'too-many-tags' }]);
      expect(of('TaskCountHeavy')).toMatchObject([{ kind: 'bypass', reason: 'too-many-tags' }]);
    }
    expect(app.counts.fills).toBe(0);
  });

  test('is exact after each write', async () => {
    const LIST = '{ tasks(first: 1) { totalCount nodes { title } } }';
    await ask(LIST);
    const projectId = await firstProjectOf(member);
    for (let i = 1; i <= 3; i++) {
      expect(await mutate('createTask', { projectId, title: `New ${i}` }, member)).toEqual(OK);
      const { data } = await ask(LIST);
      expect(data.tasks).toEqual({ totalCount: MANY + i, nodes: [{ title: `New ${i}` }] });
    }
  });

  test('is kept where the filter names few rows, or few projects', async () => {
    const projectId = await firstProjectOf(member);
    const narrow = [
      `{ tasks(first: 2, filter: { assignee: { id: { eq: "${member}" } } }) { nodes { id } } }`,
      `{ tasks(first: 2, filter: { project: { id: { eq: "${projectId}" } } }) { nodes { id } } }`,
    ];
    for (const document of narrow) {
      await ask(document);
      const { of } = await ask(document);
      expect(of('TaskPage').map(({ kind }) => kind)).toEqual([expect.stringMatching(/hit/)]);
      expect(of('TaskPage')[0]?.tags.length).toBeLessThan(5);
    }
  });

  test('costs a point more for each ten projects', async () => {
    const limited = await testApp({
      databaseUrl: app.databaseUrl,
      group: app.group,
      app: { rateLimit: { points: 1000, seconds: 3600 } },
    });
    try {
      const left = async () => {
        const { rateLimit } = dataOf(await limited.ask('{ rateLimit { remaining } }', { as: member }));
        return rateLimit.remaining as number;
      };
      const pointsOf = async (document: string) => {
        const before = await left();
        dataOf(await limited.ask(document, { as: member }));
        return before - (await left());
      };
      const projectId = await firstProjectOf(member);
      const few = await pointsOf(
        `{ tasks(first: 2, filter: { project: { id: { eq: "${projectId}" } } }) { nodes { id } } }`,
      );
      const many = await pointsOf('{ tasks(first: 2) { nodes { id } } }');
      expect(many - few).toBe(MANY * COSTS.project);
      const known = await pointsOf('{ tasks(first: 2) { nodes { id } } }');
      expect(known).toBe(many);
    } finally {
      await limited.close();
    }
  });
});
