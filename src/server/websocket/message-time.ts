/**
 * Bounds how much of this process's time the messages of one address's WebSockets take. A message costs its sender next to nothing: 20 connections
 * that send pings without end would otherwise keep the process from everything else.
 */
import type { WebSocket } from 'ws';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import type { ConnectionLimits } from '../../platform/subscription-limits.js';
import { TimeBudget } from '../operations/time-budget.js';
import { networkOf } from '../rate-limit/rate-limit.js';

/** What a message takes before and after it is handled: its frame, and the frame of its answer. */
const FRAME_MS = 0.2;
/** What a connection takes that is ended: what has come with its last message is read all the same. So it is worth nothing to come again. */
const ENDING_MS = 10;
/** By default 1 s of an address at once, and a twentieth of the process in the long run. */
const MS_PER_CONNECTION = { burstMs: 10, msPerSecond: 0.5 };

export class MessageTime {
  readonly #budget: TimeBudget;

  constructor({ maxConnectionsPerAddress: max }: ConnectionLimits, clock: Clock = systemClock) {
    const { burstMs, msPerSecond } = MS_PER_CONNECTION;
    this.#budget = new TimeBudget({ burstMs: max * burstMs, msPerSecond: max * msPerSecond, clock });
  }

  /** Whether the address has time left for messages. */
  has(address: string): boolean {
    return this.#budget.waitMs(networkOf(address)) === 0;
  }

  /** @returns what handles each message of a connection; `end` is called once, when its address has no time left */
  guard(socket: WebSocket, address: string, end: () => void): (work: () => void) => void {
    let ended = false;
    const handle = (work: () => void) => {
      if (ended) return; // of what came together with the last one
      if (this.has(address)) return this.#handle(address, work);
      ended = true;
      this.#budget.spend(networkOf(address), ENDING_MS);
      end();
      socket.pause();
    };
    const nothing = () => handle(() => {});
    socket.on('ping', nothing);
    socket.on('pong', nothing);
    return handle;
  }

  #handle(address: string, work: () => void): void {
    const startedMs = performance.now();
    try {
      work();
    } finally {
      this.#budget.spend(networkOf(address), performance.now() - startedMs + FRAME_MS);
    }
  }
}
