/** Deliveries in Postgres, without a receiver: how events become them, whose turn it is, and when they are given up. */
import type { Sql } from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type ProjectId, toUuid, type WebhookId } from '../../src/db/ids.js';
import { MAX_EVENTS, WebhookFanOut } from '../../src/domain/webhooks/webhook-fan-out.js';
import { MAX_ATTEMPTS_OF_PROJECT, recordFailure, takeDue } from '../../src/domain/webhooks/webhook-queue.js';
import type { WebhookResponse } from '../../src/domain/webhooks/webhook-request.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';

const NO_RESPONSE: WebhookResponse = { status: null, body: null, error: 'no response' };

let p: TwoProcesses;
let sql: Sql;

beforeAll(async () => {
  p = await twoProcesses({ deleteProject: 'deletedProjectId', restoreProject: 'project { id }' });
  sql = postgresClient(p.here.databaseUrl, { max: 1 });
});
afterAll(async () => {
  await sql?.end();
  await p?.close();
});
beforeEach(async () => {
  await sql`delete from webhooks`;
  await sql`delete from task_events`;
});

async function webhook(projectId: ProjectId): Promise<WebhookId> {
  const id = newId('webhook');
  await sql`insert into webhooks (id, project_id, url, secret, events)
    values (${toUuid(id)}, ${toUuid(projectId)}, 'https://hooks.example.com', 'whsec_', '{TASK_UPDATED}')`;
  await sql`insert into webhook_states (webhook_id) values (${toUuid(id)})`;
  return id;
}

/** Due deliveries, of one task each or of the task that is given. */
async function backlog(webhookId: WebhookId, count: number, { task = null, age = '1 minute' }: Backlog = {}) {
  await sql`
    insert into webhook_deliveries (id, webhook_id, message_id, task_id, type, body, due_at, created_at)
    select gen_random_uuid(), ${toUuid(webhookId)}, gen_random_uuid(), coalesce(${task}::uuid, gen_random_uuid()),
      'task.updated', '{}', now() - ${age}::interval + n * interval '1 millisecond', now() - ${age}::interval
    from generate_series(1, ${count}) as n`;
}
interface Backlog {
  readonly task?: string | null;
  readonly age?: string;
}

const counts = (attempts: readonly { readonly webhookId: WebhookId }[]) => {
  const byWebhook = new Map<WebhookId, number>();
  for (const { webhookId } of attempts) byWebhook.set(webhookId, (byWebhook.get(webhookId) ?? 0) + 1);
  return byWebhook;
};

describe('attempts', () => {
  test('of one project are at most 10 at once, whatever waits for its webhooks', async () => {
    for (let i = 0; i < 10; i++) await backlog(await webhook(p.f.ops.id), 5, { age: '1 hour' });
    const web = await webhook(p.f.web.id);
    await backlog(web, 3);
    const taken = await takeDue(sql, 50, new Map());
    expect(taken).toHaveLength(MAX_ATTEMPTS_OF_PROJECT + 3);
    expect(counts(taken).get(web)).toBe(3);
    expect(counts(taken).size).toBe(11); // each webhook of the other project has its turn
    expect(await takeDue(sql, 50, counts(taken))).toEqual([]);
  });

  test('are begun first for the project and webhook with the fewest under way', async () => {
    const [busy, idle, web] = [await webhook(p.f.ops.id), await webhook(p.f.ops.id), await webhook(p.f.web.id)];
    await backlog(busy, 5, { age: '2 hours' });
    await backlog(idle, 5, { age: '1 hour' });
    await backlog(web, 5);
    const taken = await takeDue(sql, 4, new Map([[busy, 2]]));
    expect(counts(taken)).toEqual(
      new Map([
        [web, 3],
        [idle, 1],
      ]),
    ); // 3 and 3 are under way then
  });
});

describe('a backlog of one task', () => {
  test('is not written again when its first delivery has failed for good', async () => {
    await backlog(await webhook(p.f.ops.id), 3, { task: toUuid(newId('task')), age: '2 days' });
    await sql`update webhook_deliveries set due_at = now() + interval '1 hour' where seq = (select max(seq) from webhook_deliveries)`;
    const [attempt] = await takeDue(sql, 50, new Map());
    const due = () =>
      sql`select due_at <= now() as due, due_at::text as at from webhook_deliveries order by seq offset 1`;
    const [second] = await due();
    const failure = await recordFailure(sql, attempt as NonNullable<typeof attempt>, { ...NO_RESPONSE, waitMs: 5000 });
    expect(failure?.state).toBe('FAILED');
    expect([...(await due())]).toEqual([second, { due: true, at: expect.any(String) }]);
  });
});

test('deliveries of a deleted project wait until it is restored, which says that any of its tasks may have changed', async () => {
  await backlog(await webhook(p.f.web.id), 1);
  await p.mutate('deleteProject', { id: p.f.web.id, key: 'WEB' });
  expect(await takeDue(sql, 50, new Map())).toEqual([]);
  for (let i = 0; i < 2; i++) {
    expect((await p.mutate('restoreProject', { id: p.f.web.id })).errors).toEqual([]);
    if (i === 0) await p.mutate('deleteProject', { id: p.f.web.id, key: 'WEB' });
  }
  const taken = await takeDue(sql, 50, new Map());
  expect(taken.map(({ body }) => body)).toEqual(['{}', expect.stringContaining('tasks.changed')]); // not twice
  expect(JSON.parse(taken[1]?.body ?? '')).toMatchObject({ data: { projectId: p.f.web.id } });
});

describe('a failure', () => {
  const state = (failingSince: string, failedAt: string) =>
    sql`update webhook_states set failing_since = now() - ${failingSince}::interval, failed_at = now() - ${failedAt}::interval`;
  const fail = async (age: string) => {
    const id = await webhook(p.f.ops.id);
    await backlog(id, 1, { age });
    return async () => {
      const [attempt] = await takeDue(sql, 1, new Map());
      return recordFailure(sql, attempt as NonNullable<typeof attempt>, { ...NO_RESPONSE, waitMs: 5000 });
    };
  };

  test('disables its webhook if it is for good, and others came in between for a week', async () => {
    const young = await fail('1 hour');
    await state('8 days', '1 hour');
    expect(await young()).toEqual({ state: 'PENDING', tooLong: false });
    await sql`delete from webhooks`;
    const old = await fail('2 days');
    await state('8 days', '1 hour');
    expect(await old()).toEqual({ state: 'FAILED', tooLong: true });
  });

  test('is the first again if the one before was days ago', async () => {
    const old = await fail('2 days');
    await state('8 days', '7 days');
    expect(await old()).toEqual({ state: 'FAILED', tooLong: false });
    const [found] =
      await sql`select failing_since = failed_at as first, failed_at > now() - interval '1 minute' as now from webhook_states`;
    expect(found).toEqual({ first: true, now: true });
  });
});

describe('the fan-out', () => {
  const fanOut = () => new WebhookFanOut({ sql: () => sql, log: { warn: () => {} } });
  const types = async () =>
    (await sql`select type from webhook_deliveries order by seq`).map(({ type }) => type as string);
  const ops = () => toUuid(p.f.ops.id);
  const event = (taskId = toUuid(newId('task'))) => sql`
    insert into task_events (type, task_id, project_id, version, changed_fields)
    values ('UPDATED', ${taskId}, ${ops()}, 2, '{title}')`;

  test('reads a bounded part of many events in a step, and one change of one transaction once', async () => {
    await webhook(p.f.ops.id);
    const task = toUuid(newId('task'));
    await sql`
      insert into task_events (type, task_id, project_id, version, changed_fields)
      select 'UPDATED', case when n in (1, ${MAX_EVENTS + 100}) then ${task}::uuid else gen_random_uuid() end, ${ops()}, 2, '{title}'
      from generate_series(1, ${MAX_EVENTS + 100}) as n`;
    const one = fanOut();
    expect([await one.step(), await one.step()]).toEqual([true, false]);
    const [found] = await sql`
      select count(*)::int, count(distinct task_id)::int as tasks,
        (select task_id from webhook_deliveries order by seq desc limit 1) as last from webhook_deliveries`;
    expect(found).toEqual({ count: MAX_EVENTS + 99, tasks: MAX_EVENTS + 99, last: task });
  });

  test('goes on after a dump is restored into a cluster whose transaction ids are lower', async () => {
    await webhook(p.f.ops.id);
    await event();
    const ahead = sql`(pg_current_xact_id()::text::numeric + 1000000000)::text`;
    const [{ below } = { below: '' }] = await sql<{ below: string }[]>`select below::text from task_events_trim`;
    await sql`update task_events set xid = ${ahead}::xid8`;
    await sql`update task_events_trim set below = ${ahead}::xid8`;
    await sql`update webhook_states set since = ${ahead} || ':' || ${ahead} || ':'`;
    await sql`update webhook_cursor set since = ${ahead} || ':' || ${ahead} || ':', until = null, place = null`;
    const one = fanOut();
    for (let i = 0; i < 3; i++) await one.step();
    expect(await types()).toEqual(['tasks.changed']);
    await event();
    expect(await fanOut().step()).toBe(false);
    expect(await fanOut().step()).toBe(false);
    expect(await types()).toEqual(['tasks.changed', 'task.updated']);
    await sql`update task_events_trim set below = ${below}::xid8`;
  });
});
