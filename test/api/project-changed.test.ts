/** `projectChanged`: what subscribers receive of changes to a project, its labels and its members, and when it ends. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { newId, toUuid } from '../../src/db/ids.js';
import { ProjectEvents, type ProjectPart } from '../../src/domain/projects/project.events.js';
import { projectPartTags } from '../../src/domain/registry.js';
import type { StoreEvent } from '../../src/engine/cache/index.js';
import { eventually } from '../support/app.js';
import { type SubscribedServers, subscribedServers } from '../support/subscribed-servers.js';

const DOCUMENT = `subscription($projectId: ID!) { projectChanged(projectId: $projectId) {
  changedParts projectId project {
    name archivedAt labels(first: 20) { nodes { name color } } members { edges { role node { handle } } }
  } } }`;

let servers: SubscribedServers;
let app: SubscribedServers['app'];
let sql: SubscribedServers['sql'];
let f: SubscribedServers['f'];
let mutate: SubscribedServers['mutate'];

beforeAll(async () => {
  servers = await subscribedServers(1);
  ({ app, sql, f, mutate } = servers);
});
afterEach(async () => {
  await servers.closeConnections();
  await eventually(() => expect(app.projectEvents.subscribers).toBe(0));
});
afterAll(() => servers?.close());

async function subscribed({ as = f.ada.id, projectId = f.ops.id as string } = {}) {
  const connection = servers.connected(as);
  const before = app.projectEvents.subscribers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was selected
  const changes: any[] = [];
  const received = connection.send(DOCUMENT, { projectId }, (data) => changes.push(data['projectChanged']));
  await eventually(() => expect(app.projectEvents.subscribers > before || received.ended).toBe(true));
  return { changes, received };
}

type Received = Awaited<ReturnType<typeof subscribed>>;

/** Takes the events until one shows what `seen` expects. A change may be reported twice. */
async function changed({ changes }: Received, part: ProjectPart, seen: object): Promise<void> {
  await eventually(() => expect(changes.at(-1)).toMatchObject({ projectId: f.ops.id, project: seen }));
  expect(changes.splice(0).flatMap(({ changedParts }) => changedParts)).toContain(part);
}

test('each part of the project is reported when another process changes it, with the project as it then is', async () => {
  const ada = await subscribed();
  await mutate('updateProject', { id: f.ops.id, name: 'Operations 2' });
  await changed(ada, 'PROJECT', { name: 'Operations 2' });
  await mutate('archiveProject', { id: f.ops.id });
  await changed(ada, 'PROJECT', { archivedAt: expect.any(String) });
  await mutate('archiveProject', { id: f.ops.id, archived: false });
  await changed(ada, 'PROJECT', { archivedAt: null });

  const { label } = await mutate('createLabel', { projectId: f.ops.id, name: 'ui', color: '#000001' }, 'label { id }');
  const labels = (...more: object[]) => ({ labels: { nodes: [{ name: 'bug' }, { name: 'docs' }, ...more] } });
  await changed(ada, 'LABELS', labels({ name: 'ui' }));
  await mutate('updateLabel', { id: label.id, color: '#000002' });
  await changed(ada, 'LABELS', labels({ name: 'ui', color: '#000002' }));
  await mutate('updateLabel', { id: label.id, name: 'UX' });
  await changed(ada, 'LABELS', { labels: { nodes: [{ name: 'UX' }, { name: 'bug' }, { name: 'docs' }] } });
  await mutate('deleteLabel', { id: label.id });
  await changed(ada, 'LABELS', labels());

  const edges = (...more: object[]) => ({ members: { edges: [{}, {}, {}, ...more] } });
  await mutate('addMember', { projectId: f.ops.id, userId: f.eve.id, role: 'VIEWER' });
  await changed(ada, 'MEMBERS', edges({ role: 'VIEWER', node: { handle: 'eve' } }));
  await mutate('updateMember', { projectId: f.ops.id, userId: f.eve.id, role: 'MEMBER' });
  await changed(ada, 'MEMBERS', edges({ role: 'MEMBER', node: { handle: 'eve' } }));
  await mutate('removeMember', { projectId: f.ops.id, userId: f.eve.id });
  await changed(ada, 'MEMBERS', edges());
});

test('plain SQL is reported, and neither tasks nor other projects are', async () => {
  const [ops, web] = [await subscribed({ as: f.bob.id }), await subscribed({ projectId: f.web.id })];
  await mutate('createTask', { projectId: f.ops.id, title: 'A task' });
  await sql`update labels set color = '#abcdef' where id = ${toUuid(f.bug.id)}`;
  await changed(ops, 'LABELS', { labels: { nodes: [{ name: 'bug', color: '#abcdef' }, { name: 'docs' }] } });
  await sql`update projects set name = 'By psql' where id = ${toUuid(f.web.id)}`;
  await eventually(() =>
    expect(web.changes).toMatchObject([{ changedParts: ['PROJECT'], project: { name: 'By psql' } }]),
  );
  expect(ops.changes.filter(({ changedParts }) => changedParts.includes('PROJECT'))).toEqual([]);
});

test('only members can subscribe, and a hidden project looks like one that does not exist', async () => {
  const hidden = await subscribed({ as: f.bob.id, projectId: f.web.id });
  const absent = await subscribed({ as: f.bob.id, projectId: newId('project') });
  const wrong = await subscribed({ as: f.bob.id, projectId: f.bug.id });
  await eventually(() =>
    expect([hidden, absent, wrong].map(({ received }) => received.ended)).toEqual([true, true, true]),
  );
  expect(hidden.received.errors).toEqual(absent.received.errors);
  const refused = { extensions: { code: 'BAD_USER_INPUT', argument: 'projectId' } };
  expect([hidden.received.errors, wrong.received.errors]).toMatchObject([[refused], [refused]]);
});

test('it ends without another event for a member who is removed, also by SQL, and for all when the project is deleted', async () => {
  const [bob, vic, ada] = [await subscribed({ as: f.bob.id }), await subscribed({ as: f.vic.id }), await subscribed()];
  await mutate('removeMember', { projectId: f.ops.id, userId: f.bob.id });
  await changed(ada, 'MEMBERS', { members: { edges: [{}, {}] } });
  await eventually(() => expect(bob.received.ended).toBe(true));
  await sql`delete from project_members where user_id = ${toUuid(f.vic.id)}`;
  await changed(ada, 'MEMBERS', { members: { edges: [{}] } });
  await eventually(() => expect(vic.received.ended).toBe(true));
  expect([bob.changes, bob.received.errors, vic.received.errors]).toEqual([[], [], []]);
  expect(vic.changes.map(({ project }) => project.members.edges.length)).not.toContain(1);
  await mutate('deleteProject', { id: f.ops.id, key: 'OPS' });
  await eventually(() => expect(ada.received.ended).toBe(true));
  expect(ada.received.errors).toEqual([]);
});

test('reports that come before an event is sent become one, and a lost connection reports every part', async () => {
  let hear: (event: StoreEvent) => void = () => {};
  let stopped = 0;
  const store = {
    kind: 'redis',
    subscribe: (heard: typeof hear) => {
      hear = heard;
      return () => void stopped++;
    },
  };
  const events = new ProjectEvents({ store, partTags: projectPartTags });
  const told: ProjectPart[][] = [];
  const subscriber = {
    viewerId: f.bob.id,
    projectId: f.ops.id,
    tell: (parts: readonly ProjectPart[]) => told.push([...parts]),
  };
  const subscribing = events.subscribe(subscriber);
  hear({ kind: 'disconnected' }); // the connection is there
  const leave = await subscribing;
  expect(told).toEqual([]);
  const released = (tags: readonly string[]) =>
    hear({ kind: 'released', xids: ['1'], by: 'writer', tags: tags as never });
  const { PROJECT, LABELS } = projectPartTags;
  released([PROJECT(f.ops.id)[0], LABELS(f.ops.id)[0], LABELS(f.web.id)[0]] as string[]);
  released(['labels']);
  released(['tasks', PROJECT(f.web.id)[0] as string]);
  hear({ kind: 'disconnected' });
  expect(told).toEqual([['PROJECT', 'LABELS'], ['LABELS'], ['PROJECT', 'LABELS', 'MEMBERS']]);
  leave();
  expect([events.subscribers, stopped]).toEqual([0, 1]);
});
