/**
 * Limits how much of this process's time is used for WebSocket messages of one address. A message costs its sender
 * almost nothing: 20 connections that send pings continuously would otherwise block the process.
 */
import type { WebSocket } from 'ws';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import type { ConnectionLimits } from '../../platform/subscription-limits.js';
import { TimeBudget } from '../operations/time-budget.js';
import { networkOf } from '../rate-limit/rate-limit.js';

/** Time for the frames of a message and its answer, in addition to handling it. */
const FRAME_MS = 0.2;
/**
 * Time charged for closing a connection, because what arrived with its last message is still read. Reconnecting
 * therefore gains nothing.
 */
const ENDING_MS = 10;
/** By default 1 s per address at once, and 5 % of the process in the long run. */
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

  /** @returns a handler for each message of a connection. `end` is called once, when the address has no time left. */
  guard(socket: WebSocket, address: string, end: () => void): (work: () => void) => void {
    let ended = false;
    const handle = (work: () => void) => {
      if (ended) return; // arrived together with the last message
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
