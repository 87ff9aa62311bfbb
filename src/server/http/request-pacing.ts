/**
 * Paces the start of requests while the process is busy. Node starts every request that has arrived in an event-loop
 * tick, so with hundreds of busy connections a tick takes hundreds of milliseconds, and whatever else waits for the
 * next tick waits as long: see new-connections.ts.
 *
 * A request that arrives when the tick has used its time waits. Waiting requests start in later ticks, the addresses
 * taking turns, and behind new connections. In a process that is not busy requests start at once.
 */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { NewConnections } from './new-connections.js';

/** Requests are started for this long in a tick. */
const TICK_MS = 10;

export interface PacingOptions {
  readonly connections: Pick<NewConnections, 'goFirst'>;
  readonly addressOf: (request: IncomingMessage) => string;
}

/** Replaces the server's listener of requests by one that paces them. */
export function paceRequests(server: Server, { connections, addressOf }: PacingOptions): void {
  const [listener] = server.listeners('request') as [RequestListener];
  const pacer = new RequestPacer(connections);
  server.removeListener('request', listener);
  server.on('request', (request, response) => {
    if (pacer.mayStart()) listener(request, response);
    else pacer.wait(addressOf(request), () => listener(request, response));
  });
}

class RequestPacer {
  readonly #connections: Pick<NewConnections, 'goFirst'>;
  /** By address, the next one first. An address without waiting requests has no line. */
  readonly #lines = new Map<string, (() => void)[]>();
  /** When the first request of this tick arrived. */
  #tickMs: number | undefined;

  constructor(connections: Pick<NewConnections, 'goFirst'>) {
    this.#connections = connections;
  }

  /** Whether a request that arrives now starts at once. */
  mayStart(): boolean {
    if (this.#tickMs === undefined) this.#beginTick();
    else if (!this.#hasTime(this.#tickMs)) return false;
    return this.#lines.size === 0 && !this.#connections.goFirst();
  }

  wait(address: string, start: () => void): void {
    const line = this.#lines.get(address);
    if (line === undefined) this.#lines.set(address, [start]);
    else line.push(start);
  }

  #beginTick(): void {
    this.#tickMs = performance.now();
    setImmediate(this.#endTick);
  }

  #hasTime(tickMs: number): boolean {
    return performance.now() - tickMs < TICK_MS;
  }

  readonly #endTick = (): void => {
    this.#tickMs = undefined;
    if (this.#lines.size === 0) return;
    this.#beginTick();
    if (!this.#connections.goFirst()) this.#startSome();
  };

  /** Starts requests until the tick has used its time. Each starts when the one before it waits for something. */
  readonly #startSome = (): void => {
    const [next] = this.#lines;
    if (next === undefined || this.#tickMs === undefined || !this.#hasTime(this.#tickMs)) return;
    const [address, line] = next;
    const start = line.shift() as () => void;
    this.#lines.delete(address);
    if (line.length > 0) this.#lines.set(address, line); // at the end: other addresses are next
    queueMicrotask(() => process.nextTick(this.#startSome)); // after the promises that `start` resolves
    start();
  };
}
