/** The API on a Redis that wants certificates of its clients: one server, a Cluster, and what Sentinels name. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openStore } from '../../src/core.js';
import { createCache } from '../../src/engine/index.js';
import { openConnection, type RedisPlace } from '../../src/engine/redis/index.js';
import { readConfig } from '../../src/platform/config.js';
import { createLog } from '../../src/platform/log.js';
import type { Environment } from '../../src/platform/secret-files.js';
import { RatePoints } from '../../src/server/rate-limit/rate-points.js';
import { startReaper } from '../chaos/reaper.js';
import type { RedisNode } from '../chaos/redis-node.js';
import { type StoreAddress, startTopology, type Topology, type TopologyKind } from '../chaos/topology.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { type Certificates, certificates, tlsLines } from '../support/certificates.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { lastOutcome, rename, taskOf } from './world.js';

const addressesOf = ({ nodes }: Topology) => nodes.map(({ clientPort }) => `localhost:${clientPort}`).join();

/** What an operator sets. The certificates hold the name localhost and no address. */
const ENVIRONMENTS: Readonly<Record<TopologyKind, (topology: Topology) => Environment>> = {
  standalone: (topology) => ({ REDIS_URL: `rediss://${addressesOf(topology)}` }),
  // Its nodes name themselves localhost.
  cluster: (topology) => ({ REDIS_CLUSTER_NODES: addressesOf(topology) }),
  // Sentinels name addresses.
  sentinel: (topology) => {
    const { sentinels, master } = topology.addressFor(0) as Extract<StoreAddress, { master: string }>;
    return {
      REDIS_SENTINELS: sentinels.map(({ port }) => `127.0.0.1:${port}`).join(),
      REDIS_SENTINEL_MASTER: master,
      REDIS_TLS_SERVERNAME: 'localhost',
    };
  },
};

const NAMED = ['cluster-announce-hostname localhost', 'cluster-preferred-endpoint-type hostname', 'tls-cluster yes'];

let dir: string;
let made: Certificates;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tasks-tls-'));
  made = await certificates(dir, 'DNS:localhost');
});
afterAll(() => rm(dir, { recursive: true }));

describe.each(['standalone', 'cluster', 'sentinel'] as const)('on a %s that wants certificates', (kind) => {
  let topology: Topology;
  let place: RedisPlace;
  let app: TestApp;
  let other: TestApp;
  let f: Fixture;
  beforeAll(async () => {
    const tls = [...tlsLines(made), ...(kind === 'cluster' ? NAMED : [])];
    topology = await startTopology(kind, { children: 1, reaper: startReaper(), tls });
    place = placeIn(ENVIRONMENTS[kind](topology), made.client);
    app = await testApp({ place });
    f = await fixture(app, 3);
    other = await testApp({ place, databaseUrl: app.databaseUrl, group: app.group });
  });
  afterAll(async () => {
    await other?.close();
    await app?.close();
    await topology?.stop();
  });

  test('what one process writes is what another reads, at once, and then from the cache', async () => {
    for (const { id } of f.opsTasks) {
      const version = await rename(app, { id, title: 'Written over TLS' }, f.ada.id);
      expect(await taskOf(other, id, f.ada.id)).toEqual({ title: 'Written over TLS', version });
      await eventually(async () => {
        await taskOf(other, id, f.ada.id);
        expect(lastOutcome(other, 'Task')).toEqual({ kind: 'hit' });
      });
    }
  });

  test('what one process writes is told to another', async () => {
    const told: unknown[] = [];
    const stop = other.cache.store.subscribe((news) => told.push(news.kind));
    try {
      await eventually(() => expect(told).toContain('disconnected'));
      await rename(app, { id: (f.opsTasks[0] as { id: string }).id as never, title: 'Told over TLS' }, f.ada.id);
      await eventually(() => expect(told).toContain('released'));
    } finally {
      stop();
    }
  });

  test('an application gives createCache a client of ioredis that leads there', async () => {
    const client = await clientOf(kind, topology);
    const group = randomBytes(4).toString('hex');
    const options = { redis: client, group, redisTimeoutMs: 5000 };
    const [one, two] = [await createCache(options), await createCache(options)];
    let runs = 0;
    const load = (cache: typeof one) => cache.memoize('n', async () => ++runs, { ttlMs: 60_000 })();
    try {
      await eventually(async () => {
        await load(one);
        const before = runs;
        await load(two);
        expect(runs).toBe(before);
      });
    } finally {
      await Promise.all([one.close(), two.close()]);
      client.disconnect();
    }
  });

  test('an error of a socket has a listener, however many came before it', async () => {
    const opened = socketsOpened();
    const store = await openStore(place, createLog('silent'));
    const heard: string[] = [];
    const stop = store.subscribe((news) => heard.push(news.kind));
    try {
      await eventually(() => store.head());
      await eventually(() => expect(heard).toContain('disconnected'));
      expect(opened.sockets.length).toBeGreaterThanOrEqual(kind === 'standalone' ? 4 : 10);
      for (const socket of opened.sockets)
        for (let i = 1; i <= 3; i++) expect(() => socket.emit('error', new Error(`error ${i}`))).not.toThrow();
    } finally {
      opened.restore();
      stop();
      await store.close();
    }
  });

  test('points of rate limits are counted for all processes', async () => {
    const group = randomBytes(4).toString('hex');
    const [one, two] = [new RatePoints({ redis: place, group }), new RatePoints({ redis: place, group })];
    const limit = { limit: 100, seconds: 60 };
    try {
      await Promise.all([one.ready(), two.ready()]);
      await eventually(async () => {
        const { remaining } = await one.take('ada', 1, limit);
        expect(await two.take('ada', 1, limit)).toMatchObject({ remaining: remaining - 1 });
      });
    } finally {
      one.close();
      two.close();
    }
  });
});

/** The sockets that are opened with TLS from now on. */
function socketsOpened() {
  const sockets: tls.TLSSocket[] = [];
  const { connect } = tls;
  const spy = vi.spyOn(tls, 'connect').mockImplementation((...args: unknown[]) => {
    const socket: tls.TLSSocket = Reflect.apply(connect, tls, args);
    sockets.push(socket);
    return socket;
  });
  syncBuiltinESMExports();
  return {
    sockets,
    restore() {
      spy.mockRestore();
      syncBuiltinESMExports();
    },
  };
}

/** The errors that would end a process from now on, in place of what the test runner makes of them. */
function uncaughtErrors() {
  const others = process.listeners('uncaughtException');
  const errors: Error[] = [];
  const note = (error: Error) => void errors.push(error);
  process.removeAllListeners('uncaughtException').on('uncaughtException', note);
  return {
    errors,
    restore() {
      process.off('uncaughtException', note);
      for (const other of others) process.on('uncaughtException', other);
    },
  };
}

/** As the README of the engine shows it. */
async function clientOf(kind: TopologyKind, topology: Topology): Promise<Redis | Cluster> {
  const [ca, cert, key] = (await Promise.all(
    [made.ca, made.client.cert, made.client.key].map((path) => readFile(path, 'utf8')),
  )) as [string, string, string];
  const tls = { ca, cert, key, servername: 'localhost' };
  const nodes = topology.nodes.map(({ clientPort: port }) => ({ host: 'localhost', port }));
  switch (kind) {
    case 'standalone':
      return new Redis({ ...nodes[0], tls });
    case 'sentinel': {
      const { sentinels, master: name } = topology.addressFor(0) as Extract<StoreAddress, { master: string }>;
      return new Redis({ sentinels, name, tls, enableTLSForSentinelMode: true, sentinelTLS: tls });
    }
    case 'cluster':
      return new Cluster(nodes, {
        dnsLookup: (name, done) => done(null, name),
        redisOptions: { tls: { ca, cert, key } },
      });
  }
}

function placeIn(environment: Environment, client: Certificates['client'] | undefined): RedisPlace {
  const own = client && { REDIS_TLS_CERT: client.cert, REDIS_TLS_KEY: client.key };
  return readConfig({ ...environment, REDIS_TLS_CA: made.ca, ...own }).redis as RedisPlace;
}

describe('a Redis that wants certificates says what is wrong with those of a client', () => {
  let topology: Topology;
  let foreign: Certificates;
  beforeAll(async () => {
    topology = await startTopology('standalone', { children: 1, reaper: startReaper(), tls: tlsLines(made) });
    const elsewhere = join(dir, 'elsewhere');
    await mkdir(elsewhere);
    foreign = await certificates(elsewhere, 'DNS:localhost');
  });
  afterAll(() => topology?.stop());

  const at = (host: string, port: number) => ({ REDIS_URL: `rediss://${host}:${port}` });
  const named = () => at('localhost', (topology.nodes[0] as { clientPort: number }).clientPort);
  const byAddress = () => at('127.0.0.1', (topology.nodes[0] as { clientPort: number }).clientPort);

  test.each<[string, () => RedisPlace, RegExp]>([
    [
      'there is none',
      () => placeIn(named(), undefined),
      /TLS: .*alert|may expect TLS, or a certificate of this client/,
    ],
    [
      'it is of another authority',
      () => placeIn(named(), foreign.client),
      /TLS: .*alert|may expect TLS, or a certificate of this client/,
    ],
    [
      'the client does not speak TLS',
      () => ({ url: named().REDIS_URL.replace('rediss:', 'redis:') }),
      /the server closes connections before it answers: it may expect TLS/,
    ],
    ['the authority is not known', () => ({ url: named().REDIS_URL }), /self-signed certificate in certificate chain/],
    [
      'the certificate of the server does not hold its address',
      () => placeIn(byAddress(), made.client),
      /does not match certificate's altnames: IP: 127\.0\.0\.1 is not in the cert's list/,
    ],
  ])('%s', async (_, place, reason) => {
    const store = await openStore(place(), createLog('silent'));
    try {
      await eventually(() => expect(store.head()).rejects.toThrow(reason));
    } finally {
      await store.close();
    }
  });

  test('a client that refuses the certificate of the server leaves no uncaught error', async () => {
    const uncaught = uncaughtErrors();
    try {
      // Whether the server's alert still reaches the socket is chance: with ioredis's own connectors, nearly every second time.
      for (let i = 0; i < 30; i++) {
        const connection = openConnection({ url: named().REDIS_URL }, { waitMs: 5000, once: true });
        await expect(connection.connect()).rejects.toThrow();
      }
      // The server has sent its alerts before it answers this.
      await (topology.nodes[0] as RedisNode).command('PING');
      expect(uncaught.errors).toEqual([]);
    } finally {
      uncaught.restore();
    }
  });

  test('nothing is wrong where REDIS_TLS_SERVERNAME is the name in it', async () => {
    const place = placeIn({ ...byAddress(), REDIS_TLS_SERVERNAME: 'localhost' }, made.client);
    const store = await openStore(place, createLog('silent'));
    try {
      await eventually(() => store.head());
    } finally {
      await store.close();
    }
  });
});
