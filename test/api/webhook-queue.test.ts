/** The queue of deliveries: whose turn it is, and what a statement reads and writes of a backlog. */
import type { Sql } from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type ProjectId, toUuid, type WebhookId } from '../../src/db/ids.js';
import { MAX_OF_PROJECT, recordFailure, takeDue } from '../../src/domain/webhooks/webhook-queue.js';
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
    expect(taken).toHaveLength(MAX_OF_PROJECT + 3);
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

test('deliveries of a deleted project wait until it is restored', async () => {
  const id = await webhook(p.f.web.id);
  await backlog(id, 1);
  await p.mutate('deleteProject', { id: p.f.web.id, key: 'WEB' });
  expect(await takeDue(sql, 50, new Map())).toEqual([]);
  await p.mutate('restoreProject', { id: p.f.web.id });
  expect((await takeDue(sql, 50, new Map())).length).toBeGreaterThan(0);
});
