/**
 * A TCP proxy that is a bad network: it delays, drops, falls silent, or loses the bytes of one direction. Connections that lost
 * bytes are reset when it heals, as they would be in the end; nothing else would be true to TCP.
 */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

/** What a connection may hold back while it delays, bytes; a peer that sends more is reset. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

export type Weather =
  | { readonly kind: 'fair' }
  /** Each direction by so much. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Connections are refused, and those that were open are reset. */
  | { readonly kind: 'refuse' }
  /** Connections are accepted and stay open, and nothing passes. */
  | { readonly kind: 'halfOpen' }
  /** What one side sends is lost; the other is heard. */
  | { readonly kind: 'cut'; readonly lost: 'toServer' | 'toClient' };

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface ChaosProxy {
  readonly port: number;
  /** How many connections are open. */
  connections(): number;
  set(weather: Weather): void;
  /** Resets all connections once. */
  drop(): void;
  heal(): void;
  close(): Promise<void>;
}

interface Link {
  /** Bytes were lost on it, or a close was not told: it can only be reset. */
  tainted: boolean;
  reset(): void;
}

/** `target` is asked for each connection, so that it may move. */
export async function chaosProxy(target: () => Target): Promise<ChaosProxy> {
  const links = new Set<Link>();
  let weather: Weather = { kind: 'fair' };

  const loses = (direction: 'toServer' | 'toClient') =>
    weather.kind === 'halfOpen' || (weather.kind === 'cut' && weather.lost === direction);

  const server = createServer((client) => {
    if (weather.kind === 'refuse') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const upstream = createConnection(target());
    const link: Link = {
      tainted: false,
      reset() {
        links.delete(link);
        for (const socket of [client, upstream]) if (!socket.destroyed) socket.resetAndDestroy();
      },
    };
    links.add(link);
    const connect = (from: Socket, to: Socket, direction: 'toServer' | 'toClient') => {
      from.setNoDelay(true);
      const held = heldBack(to, () => link.reset());
      from.on('data', (data: Buffer) => {
        if (loses(direction)) link.tainted = true;
        else held.send(data, weather.kind === 'delay' ? weather.ms : 0);
      });
      from.on('error', () => {}); // its close follows
      from.on('close', () => {
        // Silence loses the news of a close, too.
        if (loses(direction)) link.tainted = true;
        else held.end(() => link.reset());
      });
    };
    connect(client, upstream, 'toServer');
    connect(upstream, client, 'toClient');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const proxy: ChaosProxy = {
    port: (server.address() as AddressInfo).port,
    connections: () => links.size,
    set(next) {
      weather = next;
      if (next.kind === 'refuse') proxy.drop();
    },
    drop() {
      for (const link of [...links]) link.reset();
    },
    heal() {
      weather = { kind: 'fair' };
      for (const link of [...links]) if (link.tainted) link.reset();
    },
    async close() {
      proxy.drop();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

/** Writes to a socket in order, each piece so much later than it came. */
function heldBack(to: Socket, overflow: () => void) {
  const queue: { data: Buffer | undefined; dueMs: number; then?: () => void }[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    timer = undefined;
    while (queue[0] !== undefined) {
      const leftMs = queue[0].dueMs - performance.now();
      if (leftMs > 0.5) {
        timer = setTimeout(flush, leftMs);
        return;
      }
      const { data, then } = queue.shift() as (typeof queue)[number];
      heldBytes -= data?.length ?? 0;
      if (data !== undefined && to.writable) to.write(data);
      then?.();
    }
  };
  const add = (data: Buffer | undefined, delayMs: number, then?: () => void) => {
    if (queue.length === 0 && delayMs === 0) {
      if (data !== undefined && to.writable) to.write(data);
      then?.();
      return;
    }
    heldBytes += data?.length ?? 0;
    if (heldBytes + to.writableLength > MAX_HELD_BYTES) return overflow();
    queue.push({ data, dueMs: performance.now() + delayMs, ...(then && { then }) });
    if (timer === undefined) flush();
  };
  return {
    send: (data: Buffer, delayMs: number) => add(data, delayMs),
    end: (then: () => void) => add(undefined, 0, then),
  };
}
