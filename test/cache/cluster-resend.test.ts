/** What names the run of a server is executed by that server or by none: a Cluster's client sends each command once. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { type Reply, type ScriptedRedis, startScripted } from '../support/scripted-redis.js';
import { tagOf } from './world.js';

const WAIT_MS = 5000;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function openStore(ports: readonly number[]) {
  const group = `test-${randomBytes(6).toString('hex')}`;
  const store = new RedisStore({ cluster: ports.map((port) => ({ host: '127.0.0.1', port })), group, waitMs: WAIT_MS });
  cleanups.push(() => store.close());
  return { store, group };
}

/** Two nodes; the first has all slots until its first answer to what the store asks, which is `fault`. From then on all is well on the second. */
async function twoNodes(fault: (second: ScriptedRedis) => Reply) {
  let moved = false;
  const nodes: ScriptedRedis[] = [];
  const asks: string[][] = [];
  const answer =
    (index: number) =>
    (command: readonly string[]): Reply => {
      const [name = ''] = command;
      if (name === 'CLUSTER') {
        const owner = nodes[moved ? 1 : 0] as ScriptedRedis;
        return [[0, 16_383, ['127.0.0.1', owner.port, `node-${moved ? 1 : 0}`]]];
      }
      if (name === 'INFO') return `run_id:${String(index).repeat(40)}\r\n`;
      if (!/^(MGET|EVALSHA|EVAL)$/.test(name)) return 'OK';
      asks.push([String(index), ...command]);
      if (!moved) {
        moved = true;
        return fault(nodes[1] as ScriptedRedis);
      }
      return name === 'MGET' ? command.slice(1).map(() => 'generation:purge') : 'fenced';
    };
  for (const index of [0, 1]) {
    const started = await startScripted(answer(index));
    nodes.push(started);
    cleanups.push(() => started.stop());
  }
  const { store } = openStore(nodes.map(({ port }) => port));
  await store.ready();
  return { store, asks };
}

const FAULTS: Record<string, (second: ScriptedRedis) => Reply> = {
  MOVED: ({ port }) => new Error(`MOVED 1 127.0.0.1:${port}`),
  ASK: ({ port }) => new Error(`ASK 1 127.0.0.1:${port}`),
  TRYAGAIN: () => new Error('TRYAGAIN Multiple keys request during rehashing of slot'),
  CLUSTERDOWN: () => new Error('CLUSTERDOWN The cluster is down'),
  'a closed connection': () => 'close',
};

describe.each(Object.keys(FAULTS))('after %s', (fault) => {
  const unavailable = { code: 'STORE_UNAVAILABLE' };

  test('a READ is not sent again: it fails, and the next one names the run of the server that has the slots now', async () => {
    const { store, asks } = await twoNodes(FAULTS[fault] as (typeof FAULTS)[string]);
    await expect(store.read([], [tagOf(1)])).rejects.toMatchObject(unavailable);
    expect(asks).toHaveLength(1);
    await expect
      .poll(async () => (await store.read([], [tagOf(1)]).catch(() => undefined))?.leases.some(Boolean), {
        timeout: 10_000,
      })
      .toBe(true);
    const named = asks.map(([node, , ok]) => [node, /:(\w+)$/.exec(ok ?? '')?.[1]?.[0]]);
    expect(named.every(([node, run]) => node === run)).toBe(true);
  });

  test('a FENCE is not sent again', async () => {
    const { store, asks } = await twoNodes(FAULTS[fault] as (typeof FAULTS)[string]);
    await expect(store.fence(7n, [], { fresh: false })).rejects.toMatchObject(unavailable);
    expect(asks).toHaveLength(1);
  });
});

test('the lease and the log of a READ are asked on one connection: together they are of one run', async () => {
  const asks: [name: string, connection: number][] = [];
  const node = await startScripted(([name = '', ...names], connection) => {
    if (name === 'INFO') return `run_id:${'a'.repeat(40)}\r\n`;
    if (!/^(MGET|XREVRANGE|XREAD)$/.test(name)) return 'OK';
    asks.push([name, connection]);
    return name === 'MGET' ? names.map(() => 'generation:purge') : [];
  });
  cleanups.push(() => node.stop());
  const store = new RedisStore({ url: `redis://127.0.0.1:${node.port}`, waitMs: WAIT_MS });
  cleanups.push(() => store.close());
  await store.ready();
  await store.read([], [], { log: 'tail' });
  await store.read([], [], { log: { epoch: '7', sequence: 2 } });
  const [, reader] = asks[0] ?? [];
  expect(asks).toEqual([
    ['MGET', reader],
    ['XREVRANGE', reader],
    ['MGET', reader],
    ['XREAD', reader],
  ]);
});

test('a replica that copied its primary within the lease, and takes its place, does not serve under it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'cluster-resend-test-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const start = async () => {
    const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--repl-diskless-sync-delay', '0'];
    const node = await startRedis({ args, dir: await mkdtemp(join(dir, 'node-')) });
    if (node === undefined) throw new Error(installHint());
    cleanups.push(() => node.stop());
    const client = new Redis(node.url);
    cleanups.push(() => client.disconnect());
    return { node, client };
  };
  const [primary, replica] = await Promise.all([start(), start()]);
  const info = (of: Redis, section: string) => of.info(section);
  await primary.client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await replica.client.call('CLUSTER', 'MEET', '127.0.0.1', primary.node.port);
  const id = String(await primary.client.call('CLUSTER', 'MYID'));
  const { store, group } = openStore([primary.node.port]);
  await expect.poll(() => store.invalidate([]), { timeout: 10_000 }).toBeUndefined();
  await store.ready();
  // The lease of the first group, under the name of this run; long, so that it does not matter how slow this machine is.
  const { run } = await store.head();
  await primary.client.set(`ok:{${group}-0}:${run}`, 'generation:purge', 'PX', 60_000);
  const lease = async () => (await store.read([], [], { log: 'tail' })).leases[0];
  expect(await lease()).toMatchObject({ generation: 'generation' });

  await expect
    .poll(() => replica.client.call('CLUSTER', 'REPLICATE', id).catch(String), { timeout: 10_000 })
    .toBe('OK');
  await expect.poll(() => info(replica.client, 'replication'), { timeout: 15_000 }).toContain('master_link_status:up');
  await replica.client.call('CLUSTER', 'FAILOVER', 'TAKEOVER');
  await expect.poll(() => info(primary.client, 'replication'), { timeout: 15_000 }).toContain('role:slave');
  expect(await replica.client.exists(`ok:{${group}-0}:${run}`)).toBe(1); // the copy is there
  // Refused, or asked under the name of its own run, if the client has learnt of it already.
  expect([undefined, 'STORE_UNAVAILABLE']).toContain(await lease().catch(({ code }) => code));
  await expect.poll(() => lease().catch(({ code }) => code), { timeout: 10_000 }).toBeUndefined();
});
