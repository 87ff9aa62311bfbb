/**
 * Webhooks: what is sent, in which order, how often, when it is given up, and who manages them. Time passes in the
 * rows.
 */
import { createHmac } from 'node:crypto';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type WebhookId } from '../../src/db/ids.js';
import { trimWebhookDeliveries } from '../../src/domain/webhooks/webhook.trim.js';
import { MAX_PENDING } from '../../src/domain/webhooks/webhook-fan-out.js';
import { backoffMs } from '../../src/domain/webhooks/webhook-queue.js';
import { WebhookWorker } from '../../src/domain/webhooks/webhook-worker.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { measured } from '../support/live.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';
import { failing, Receiver } from '../support/receiver.js';

const WEBHOOK = 'webhook { id url events enabled disabledReason disabledAt createdAt }';
const DELIVERY = 'id messageId type body status attempts createdAt finishedAt responseStatus responseBody error';
const DELIVERIES = `query($id: ID!, $first: Int, $after: String) { project(id: $id) { webhooks { totalCount nodes {
  id enabled disabledReason events
  deliveries(first: $first, after: $after) { nodes { ${DELIVERY} } pageInfo { hasNextPage endCursor } }
} } } }`;

let p: TwoProcesses;
let sql: Sql;
let receiver: Receiver;

beforeAll(async () => {
  const task = 'task { id identifier version }';
  p = await twoProcesses(
    {
      createWebhook: `${WEBHOOK} secret`,
      updateWebhook: WEBHOOK,
      rotateWebhookSecret: `${WEBHOOK} secret`,
      deleteWebhook: 'deletedWebhookId',
      redeliverWebhook: `delivery { ${DELIVERY} }`,
      createTask: task,
      updateTask: task,
      completeTask: task,
      moveTask: task,
      deleteTask: 'deletedTaskId',
      restoreTask: task,
      createComment: 'comment { id }',
    },
    { app: { webhooks: { allowPrivate: true } } },
  );
  sql = postgresClient(p.here.databaseUrl, { max: 1 });
  receiver = await new Receiver().listen();
});
afterAll(async () => {
  await receiver?.close();
  await sql?.end();
  await p?.close();
});
beforeEach(async () => {
  const { webhooks } = (await p.read(DELIVERIES, { id: p.f.ops.id })).project;
  for (const { id } of webhooks.nodes) await p.mutate('deleteWebhook', { id });
  receiver.reset();
});

const settle = () => p.here.webhookWorker.settle();
const hook = async (more: object = {}, as = p.f.ada.id) =>
  (await p.mutate('createWebhook', { projectId: p.f.ops.id, url: receiver.url, ...more }, { as })) as {
    webhook: { id: string };
    secret: string;
  };
const created = async (title: string, more: object = {}): Promise<{ id: string; identifier: string }> =>
  (await p.mutate('createTask', { projectId: p.f.ops.id, title, ...more })).task;
const deliveries = async (first = 25) => {
  const { webhooks } = (await p.read(DELIVERIES, { id: p.f.ops.id, first })).project;
  return webhooks.nodes[0].deliveries.nodes;
};
/** As if this much time had passed for all deliveries and failures. */
const pass = async (interval: string) => {
  await sql`update webhook_deliveries set due_at = due_at - ${interval}::interval,
    created_at = created_at - ${interval}::interval, finished_at = finished_at - ${interval}::interval`;
  await sql`update webhook_states set
    failing_since = failing_since - ${interval}::interval, failed_at = failed_at - ${interval}::interval`;
};

describe('a message', () => {
  test('says what changed, by whom, and is signed as Standard Webhooks defines it', async () => {
    const { secret } = await hook();
    const task = await created('Signed');
    await p.mutate('updateTask', { id: task.id, title: 'Signed twice', labelIds: [p.f.bug.id] }, { as: p.f.bob.id });
    await settle();
    const [first, second] = receiver.received;
    const data = { projectId: p.f.ops.id, taskId: task.id, identifier: task.identifier };
    const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    const ofCreation = { ...data, version: 1, changedFields: [], actorId: p.f.ada.id };
    expect(first?.json).toEqual({ type: 'task.created', timestamp, data: ofCreation });
    const ofUpdate = { ...data, version: 2, changedFields: ['labels', 'title'], actorId: p.f.bob.id };
    expect(second?.json).toEqual({ type: 'task.updated', timestamp, data: ofUpdate });
    expect(receiver.received).toHaveLength(2);
    const { headers, text } = first as NonNullable<typeof first>;
    expect(headers['content-type']).toBe('application/json');
    expect(headers['user-agent']).toMatch(/^tasks-api\//);
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60);
  });

  test('is sent once, whichever processes look for events', async () => {
    await hook();
    await Promise.all([created('One'), created('Two'), created('Three')]);
    const other = new WebhookWorker({ ...p.there, allowPrivate: true, userAgent: 'tasks-api/other' });
    await Promise.all([settle(), other.settle()]);
    await settle();
    expect(receiver.received.map(({ json }) => json.type)).toEqual(Array(3).fill('task.created'));
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
  });

  test('of each kind is sent to webhooks that name it, and only of changes after the webhook was created', async () => {
    const { id } = await created('Before');
    await hook({ events: ['TASK_COMMENTS_CHANGED', 'TASK_DELETED'] });
    await p.mutate('updateTask', { id, title: 'Not named' });
    await p.mutate('createComment', { taskId: id, body: 'Named' });
    await p.mutate('deleteTask', { id });
    await p.mutate('restoreTask', { id });
    await settle();
    expect(receiver.received.map(({ json }) => [json.type, json.data.changedFields])).toEqual([
      ['task.comments_changed', ['comments']],
      ['task.deleted', []],
    ]);
  });

  test('of a move is one of a deletion, and shows nothing of the other project', async () => {
    await hook();
    const { id } = await created('Moves away');
    await p.mutate('moveTask', { id, projectId: p.f.web.id });
    await p.mutate('updateTask', { id, title: 'Elsewhere' });
    await settle();
    expect(receiver.received.map(({ json }) => json.type)).toEqual(['task.created', 'task.deleted']);
    expect(receiver.received[1]?.json.data).toMatchObject({ projectId: p.f.ops.id, taskId: id, identifier: null });
  });

  test('about many tasks is sent to every webhook of their project', async () => {
    await hook({ events: ['TASK_DELETED'] });
    await sql`insert into task_events (type, project_id) select 'MANY', project_id from webhooks limit 1`;
    await settle();
    expect(receiver.received.map(({ json }) => [json.type, json.data])).toEqual([
      ['tasks.changed', { projectId: p.f.ops.id }],
    ]);
  });

  test('replaces single ones while too many deliveries of a webhook wait', async () => {
    const { webhook } = await hook();
    await sql`
      insert into webhook_deliveries (id, webhook_id, message_id, type, body, due_at)
      select gen_random_uuid(), w.id, gen_random_uuid(), 'task.updated', '{}', now() + interval '1 hour'
      from webhooks w, generate_series(1, ${MAX_PENDING})`;
    await created('One too many');
    await settle();
    await created('Two too many');
    await settle();
    const found = await sql`select type, task_id from webhook_deliveries where body <> '{}'`;
    expect([...found]).toEqual([{ type: 'tasks.changed', task_id: null }]);
    await p.mutate('deleteWebhook', { id: webhook.id });
  });

  test('says that events were lost if they were trimmed before any process looked', async () => {
    await hook();
    await settle();
    await created('Never seen');
    await sql`delete from task_events`;
    await sql`update task_events_trim set below = (pg_current_xact_id()::text::numeric + 1)::text::xid8`;
    await sql`update webhook_cursor set since = '3:3:'`;
    await sql`update webhook_states set since = '3:3:'`;
    await settle();
    expect(receiver.received.map(({ json }) => json.type)).toEqual(['tasks.changed']);
    await created('Seen');
    await settle();
    expect(receiver.received.map(({ json }) => json.type)).toEqual(['tasks.changed', 'task.created']);
  });
});

describe('a failure', () => {
  test('keeps later messages of the same task back, and those of no other task', async () => {
    await hook();
    const [one, other] = [await created('Fails'), await created('Works')];
    await settle();
    receiver.received.length = 0;
    receiver.reply = (received, response) =>
      received.json.data.taskId === one.id ? failing(received, response) : response.end();
    for (const { id } of [one, other]) {
      await p.mutate('updateTask', { id, title: 'First' });
      await p.mutate('updateTask', { id, priority: 'HIGH' });
    }
    await settle();
    const versions = (id: string) =>
      receiver.received.filter(({ json }) => json.data.taskId === id).map(({ json }) => json.data.version);
    expect([versions(one.id), versions(other.id)]).toEqual([[2], [2, 3]]);
    receiver.reset();
    await settle();
    expect(receiver.received).toEqual([]); // not due yet
    await pass('10 seconds');
    await settle();
    expect(versions(one.id)).toEqual([2, 3]);
  });

  test('is repeated for a day with the same id and body, and then the next message of the task is sent', async () => {
    await hook();
    const task = await created('Fails all day');
    await p.mutate('updateTask', { id: task.id, title: 'Next' });
    receiver.reply = failing;
    await settle();
    for (const interval of ['5.5 hours', '6 hours', '6 hours', '6 hours']) {
      await pass(interval);
      await settle();
    }
    expect(receiver.received.map(({ json }) => json.type)).toEqual(Array(5).fill('task.created'));
    expect(new Set(receiver.received.map(({ headers, text }) => `${headers['webhook-id']}${text}`)).size).toBe(1);
    expect((await deliveries()).at(-1)).toMatchObject({
      ...{ status: 'PENDING', attempts: 5, responseStatus: 500, responseBody: 'no\ufffdt now', finishedAt: null },
    });
    await pass('1 hour');
    receiver.reply = (received, response) =>
      received.json.type === 'task.created' ? failing(received, response) : response.end('ok');
    await settle();
    expect((await deliveries()).map(({ status, attempts }: never) => [status, attempts])).toEqual([
      ['DELIVERED', 1],
      ['FAILED', 6],
    ]);
  });

  test('waits from 5 seconds to an hour, a quarter more or less', () => {
    expect([1, 2, 3, 10, 11, 40].map((attempt) => backoffMs(attempt, 0.5) / 1000)).toEqual([
      5, 10, 20, 2560, 3600, 3600,
    ]);
    expect([0, 1].map((random) => backoffMs(1, random))).toEqual([3750, 6250]);
  });

  test('of a week disables the webhook, which every process shows at once; enabling it sends what comes then', async () => {
    const { webhook } = await hook();
    const { id } = await created('Fails all week');
    receiver.reply = failing;
    await settle();
    const rename = async (title: string) => (await p.mutate('updateTask', { id, title })).task.version;
    const hours = async (title: string) => {
      await pass('20 hours');
      await rename(title);
      await settle();
    };
    for (let i = 1; i <= 8; i++) await hours(`Fails for ${20 * i} hours`);
    expect((await p.read(DELIVERIES, { id: p.f.ops.id })).project.webhooks.nodes[0].enabled).toBe(true);
    await hours('Fails for 180 hours');
    const [shown] = (await p.read(DELIVERIES, { id: p.f.ops.id })).project.webhooks.nodes;
    expect(shown).toMatchObject({ id: webhook.id, enabled: false, disabledReason: 'FAILURES' });
    receiver.reset();
    const missed = await rename('Not sent');
    await pass('2 hours');
    await settle();
    expect(receiver.received).toEqual([]);
    const enabled = await p.mutate('updateWebhook', { id: webhook.id, enabled: true });
    expect(enabled.webhook).toMatchObject({ enabled: true, disabledReason: null, disabledAt: null });
    expect(await rename('Sent')).toBe(missed + 1);
    await settle();
    const versions = receiver.received.map(({ json }) => json.data.version);
    expect(versions.slice(-2)).toEqual([missed - 1, missed + 1]);
  });

  test('is a redirect, or a response that is cut off; the beginning of a long one is kept', async () => {
    await hook();
    receiver.reply = (_, response) => response.writeHead(302, { location: receiver.url }).end('x'.repeat(5000));
    await created('Elsewhere');
    await settle();
    expect((await deliveries())[0]).toMatchObject({ status: 'PENDING', responseStatus: 302 });
    expect((await deliveries())[0].responseBody).toBe('x'.repeat(4096));
    expect(receiver.received).toHaveLength(1);
    receiver.reply = (_, response) => response.destroy();
    await pass('10 seconds');
    await settle();
    expect((await deliveries())[0]).toMatchObject({ responseStatus: null, error: 'socket hang up', attempts: 2 });
  });
});

describe('deliveries', () => {
  test('are listed newest first, in pages, and counted in the metrics', async () => {
    await hook();
    for (const title of ['One', 'Two', 'Three']) await created(title);
    await settle();
    const list = await deliveries();
    expect(list.map(({ status, attempts, responseBody }: never) => [status, attempts, responseBody])).toEqual(
      Array(3).fill(['DELIVERED', 1, 'thanks']),
    );
    const page = async (after?: string) =>
      (await p.read(DELIVERIES, { id: p.f.ops.id, first: 2, after })).project.webhooks.nodes[0].deliveries;
    const first = await page();
    expect(first.pageInfo.hasNextPage).toBe(true);
    const rest = await page(first.pageInfo.endCursor);
    expect([...first.nodes, ...rest.nodes]).toEqual(list);
    expect(await measured(p.here, 'tasks_webhook_deliveries_total{outcome="delivered"}')).toBeGreaterThan(3);
    expect(await measured(p.here, 'tasks_webhook_deliveries_pending')).toBeGreaterThanOrEqual(0);
  });

  test('are repeated with the same id; one that waits is sent at once', async () => {
    const { webhook } = await hook();
    await created('Again');
    await settle();
    const [delivered] = await deliveries();
    const { delivery } = await p.mutate('redeliverWebhook', { deliveryId: delivered.id });
    expect(delivery).toMatchObject({ messageId: delivered.id, status: 'PENDING', attempts: 0, body: delivered.body });
    expect(delivery.id).not.toBe(delivered.id);
    const same = await p.mutate('redeliverWebhook', { deliveryId: delivered.id });
    expect(same.delivery.id).toBe(delivery.id);
    await settle();
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([delivered.id, delivered.id]);
    await sql`update webhook_deliveries set state = 'PENDING', finished_at = null, due_at = now() + interval '1 hour'`;
    await p.mutate('redeliverWebhook', { deliveryId: delivered.id });
    await settle();
    expect(receiver.received).toHaveLength(4);
    await p.mutate('updateWebhook', { id: webhook.id, enabled: false });
    const refused = await p.mutate('redeliverWebhook', { deliveryId: delivered.id });
    expect(refused.errors).toMatchObject([{ code: 'INVALID', path: ['input', 'deliveryId'] }]);
  });

  test('are kept for 7 days, 100 of each webhook; those of a disabled webhook wait for a day', async () => {
    const { webhook } = await hook();
    await created('Waits');
    const state = (count: number, at: string) => sql`
      insert into webhook_deliveries (id, webhook_id, message_id, type, body, state, finished_at)
      select gen_random_uuid(), w.id, gen_random_uuid(), 'task.updated', ${at}, 'FAILED', now() - ${at}::interval
      from webhooks w, generate_series(1, ${count})`;
    await settle();
    await state(101, '1 day');
    await state(3, '8 days');
    await p.mutate('updateWebhook', { id: webhook.id, enabled: false });
    const kept = async () => (await sql`select from webhook_deliveries where body ~ 'day'`).length;
    await sql`update webhook_deliveries set state = 'PENDING', finished_at = null, created_at = now() - interval '25 hours'
      where type = 'task.created'`;
    expect(await trimWebhookDeliveries(sql, [])).toBe(false);
    expect(await kept()).toBe(101); // of webhooks without deliveries that have just ended, only old ones are looked for
    await trimWebhookDeliveries(sql, [webhook.id as WebhookId]);
    const left = await sql`select body, count(*)::int from webhook_deliveries where body ~ 'day' group by body`;
    expect([...left].map(({ body, count }) => [body, count])).toEqual([['1 day', 100]]);
    const [gaveUp] = await sql`select state, error from webhook_deliveries where type = 'task.created'`;
    expect(gaveUp ?? { state: 'trimmed' }).toMatchObject({ state: expect.stringMatching(/FAILED|trimmed/) });
  });
});

describe('managing webhooks', () => {
  test('is for OWNERs, and every process shows their changes at once', async () => {
    const { webhook, secret } = await hook({ events: ['TASK_DELETED', 'TASK_CREATED', 'TASK_DELETED'] });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(webhook).toMatchObject({ url: receiver.url, enabled: true, events: ['TASK_CREATED', 'TASK_DELETED'] });
    const list = async (as = p.f.ada.id) => (await p.read(DELIVERIES, { id: p.f.ops.id }, as)).project.webhooks;
    expect((await list()).nodes).toMatchObject([{ id: webhook.id, enabled: true }]);
    expect(await list(p.f.bob.id)).toEqual({ totalCount: 0, nodes: [] });
    const { webhook: changed } = await p.mutate('updateWebhook', { id: webhook.id, enabled: false });
    expect(changed).toMatchObject({ enabled: false, disabledReason: 'OWNER', disabledAt: expect.any(String) });
    expect((await list()).nodes).toMatchObject([{ enabled: false, disabledReason: 'OWNER' }]);
    const rotated = await p.mutate('rotateWebhookSecret', { id: webhook.id });
    expect(rotated.secret).toMatch(/^whsec_/);
    expect(rotated.secret).not.toBe(secret);
    for (const [as, code] of [
      [p.f.bob.id, 'FORBIDDEN'],
      [p.f.eve.id, 'NOT_FOUND'],
    ] as const) {
      const path = ['input', 'id'];
      for (const name of ['updateWebhook', 'rotateWebhookSecret', 'deleteWebhook']) {
        expect((await p.mutate(name, { id: webhook.id }, { as })).errors).toMatchObject([{ code, path }]);
      }
    }
    const missing = await p.mutate('deleteWebhook', { id: newId('webhook') });
    expect(missing.errors).toMatchObject([{ code: 'NOT_FOUND', message: 'there is no such webhook' }]);
    expect(await p.mutate('deleteWebhook', { id: webhook.id })).toMatchObject({ deletedWebhookId: webhook.id });
    expect(await list()).toEqual({ totalCount: 0, nodes: [] });
  });

  test('names all faults at once, and a project has at most 10', async () => {
    const bad = { projectId: p.f.ops.id, url: 'ftp://example.com', events: [] };
    expect((await p.mutate('createWebhook', bad)).errors).toMatchObject([
      { code: 'INVALID', path: ['input', 'url'] },
      { code: 'TOO_SHORT', path: ['input', 'events'] },
    ]);
    const { webhook } = await hook();
    for (let i = 1; i < 10; i++) await hook();
    const { errors } = await p.mutate('createWebhook', bad);
    expect(errors).toMatchObject([{ path: ['input', 'url'] }, { path: ['input', 'events'] }, { code: 'LIMIT' }]);
    const update = { id: webhook.id, url: null, events: null, enabled: null };
    expect((await p.mutate('updateWebhook', update)).errors.map(({ path }: never) => path[1])).toEqual([
      'url',
      'events',
      'enabled',
    ]);
  });

  test('without a change writes nothing, and no write of a task does more because of webhooks', async () => {
    const { webhook } = await hook();
    p.here.reset();
    await p.mutate('updateWebhook', { id: webhook.id, url: receiver.url, events: ['TASK_CREATED'] });
    expect(p.here.counts.fences).toBe(1);
    p.here.reset();
    await p.mutate('updateWebhook', { id: webhook.id, events: ['TASK_CREATED'], enabled: true });
    expect(p.here.counts.fences).toBe(0);
    p.here.reset();
    await created('As cheap as ever');
    expect(p.here.counts.statements.filter((text) => text.includes('webhook'))).toEqual([]);
  });
});
