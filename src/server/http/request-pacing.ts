/**
 * Paces the start of requests while the process is busy. Node starts every request that has arrived in an event-loop
 * tick, so with hundreds of busy connections one takes hundreds of milliseconds, and whatever else waits for the next one
 * waits as long: see new-connections.ts.
 *
 * A request that arrives when the event-loop tick has used its time waits. Waiting requests start in later ones, the
 * addresses taking turns, and behind new connections. In a process that is not busy requests start at once.
 */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf } from '../rate-limit/rate-limit.js';
import type { NewConnections } from './new-connections.js';

/** Requests are started for this long in an event-loop tick. */
const TICK_MS = 10;
/** Requests of one connection that wait: far more than a client pipelines. With more the connection is closed. */
const MAX_WAITING_OF_CONNECTION = 100;

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
    else pacer.wait(networkOf(addressOf(request)), { socket: request.socket, run: () => listener(request, response) });
  });
}

interface Waiting {
  readonly socket: Socket;
  readonly run: () => void;
}

class RequestPacer {
  readonly #connections: Pick<NewConnections, 'goFirst'>;
  /** By network, the next one first. A network without waiting requests has no line. */
  readonly #lines = new Map<string, Waiting[]>();
  /** Number of waiting requests by connection. */
  readonly #ofConnection = new Map<Socket, number>();
  /** When this event-loop tick began to start requests. */
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

  wait(network: string, waiting: Waiting): void {
    const { socket } = waiting;
    if (socket.destroyed) return;
    const waitingHere = (this.#ofConnection.get(socket) ?? 0) + 1;
    if (waitingHere > MAX_WAITING_OF_CONNECTION) return void socket.destroy();
    this.#ofConnection.set(socket, waitingHere);
    const line = this.#lines.get(network);
    if (line === undefined) this.#lines.set(network, [waiting]);
    else line.push(waiting);
  }

  /** Takes the next request out of its line. */
  #take(network: string, line: Waiting[]): Waiting {
    const next = line.shift() as Waiting;
    this.#lines.delete(network);
    if (line.length > 0) this.#lines.set(network, line); // at the end: other networks are next
    const left = (this.#ofConnection.get(next.socket) as number) - 1;
    if (left === 0) this.#ofConnection.delete(next.socket);
    else this.#ofConnection.set(next.socket, left);
    return next;
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

  /** Starts requests until the event-loop tick has used its time. Each starts when the one before it waits for something. */
  readonly #startSome = (): void => {
    const [next] = this.#lines;
    if (next === undefined || this.#tickMs === undefined || !this.#hasTime(this.#tickMs)) return;
    const { socket, run } = this.#take(...next);
    queueMicrotask(() => process.nextTick(this.#startSome)); // after the promises that `run` resolves
    if (!socket.destroyed) run();
  };
}
