/** A PostgreSQL of a test's own that can be away and come back: stopped as an administrator stops it, and reached at the same port afterwards. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrateDatabase } from '../../src/db/migrate.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';

export interface RestartablePostgres {
  /** Stays the same. */
  readonly url: string;
  /** Its clients are told that an administrator ends it; connections are refused from then on. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function restartablePostgres(): Promise<RestartablePostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tasks-restarted-'));
  const start = () => startPostgres({ dataDir, flags: ['fsync=off', 'full_page_writes=off'] });
  let running: EmbeddedPostgres | undefined = await start();
  await migrateDatabase(running.url);
  const sockets = new Set<Socket>();
  const door: Server = createServer((client) => {
    const upstream = connect(running?.port ?? 0, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {}); // the other end is closed below
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  const listen = async (port: number) => {
    door.listen(port, '127.0.0.1');
    await once(door, 'listening');
    return (door.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const url = new URL(running.url);
  url.port = String(port);
  const stop = async () => {
    const closed = once(door, 'close');
    door.close();
    await running?.stop();
    running = undefined;
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url: url.href,
    stop,
    async start() {
      running = await start();
      await listen(port);
    },
    async close() {
      if (running !== undefined) await stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
