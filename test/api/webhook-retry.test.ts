/** `Retry-After`: how long a receiver of webhooks can postpone the next attempt. */
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backoffMs, delayMs } from '../../src/domain/webhooks/webhook-queue.js';
import { readRetryAfter } from '../../src/domain/webhooks/webhook-request.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';
import { Receiver } from '../support/receiver.js';

const NOW_MS = Date.parse('2026-11-30T12:00:00Z');

describe('Retry-After', () => {
  test('is read in seconds and as an HTTP date', () => {
    expect(readRetryAfter('120', NOW_MS)).toBe(120_000);
    expect(readRetryAfter('Mon, 30 Nov 2026 12:10:00 GMT', NOW_MS)).toBe(600_000);
    expect(readRetryAfter('Monday, 30-Nov-26 12:10:00 GMT', NOW_MS)).toBe(600_000); // obsolete
    expect(readRetryAfter('Mon Nov 30 12:10:00 2026', NOW_MS)).toBe(600_000); // obsolete
    expect(readRetryAfter('Tue Dec  1 12:00:00 2026', NOW_MS)).toBe(86_400_000);
  });

  test('says nothing if it is past or in another form', () => {
    const others = ['Mon, 30 Nov 2026 11:59:00 GMT', 'soon', '-1', '1.5', '', '2026-11-30T12:10:00Z', 'Soon, GMT'];
    for (const header of [undefined, ...others]) expect(readRetryAfter(header, NOW_MS)).toBeUndefined();
  });

  test('makes a delay longer, up to an hour, and never shorter', () => {
    const first = backoffMs(1, 0.5);
    const delays = [undefined, 1000, 90_000, 7_200_000, Number('9'.repeat(400))].map((retryAfterMs) =>
      delayMs(1, { random: 0.5, retryAfterMs }),
    );
    expect(delays).toEqual([first, first, 90_000, 3_600_000, 3_600_000]);
    expect(delayMs(40, { random: 1, retryAfterMs: 7_200_000 })).toBe(4_500_000); // an hour, and a quarter
  });
});

describe('a delivery', () => {
  let p: TwoProcesses;
  let sql: Sql;
  let receiver: Receiver;

  beforeAll(async () => {
    p = await twoProcesses({ createWebhook: 'webhook { id }' }, { app: { webhooks: { allowPrivate: true } } });
    sql = postgresClient(p.here.databaseUrl, { max: 1 });
    receiver = await new Receiver().listen();
    await p.mutate('createWebhook', { projectId: p.f.ops.id, url: receiver.url });
  });
  afterAll(async () => {
    await receiver?.close();
    await sql?.end();
    await p?.close();
  });

  /** Seconds from a first attempt, answered like this, to the next one. */
  async function waits(status: number, retryAfter: string): Promise<number> {
    receiver.reply = (_, response) => response.writeHead(status, { 'retry-after': retryAfter }).end();
    await sql`delete from webhook_deliveries`;
    await sql`
      insert into webhook_deliveries (id, webhook_id, message_id, type, body)
      select gen_random_uuid(), id, gen_random_uuid(), 'task.updated', '{}' from webhooks`;
    await p.here.webhookWorker.settle();
    const [{ seconds, attempts } = {}] = await sql`
      select extract(epoch from due_at - now())::float8 as seconds, attempts from webhook_deliveries`;
    expect(attempts).toBe(1);
    return seconds;
  }

  test('waits as long as the receiver asks for with 429 and 503', async () => {
    for (const status of [429, 503]) {
      const seconds = await waits(status, '600');
      expect(seconds).toBeGreaterThan(570);
      expect(seconds).toBeLessThanOrEqual(600);
    }
    expect(await waits(503, new Date(Date.now() + 900_000).toUTCString())).toBeGreaterThan(870);
  });

  test('waits as usual after other responses, and after a shorter Retry-After', async () => {
    expect(await waits(500, '600')).toBeLessThan(7);
    expect(await waits(302, '600')).toBeLessThan(7);
    expect(await waits(429, '0')).toBeGreaterThan(2);
  });
});
