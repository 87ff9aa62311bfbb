/**
 * Knows when connections wait to be accepted. Node accepts one per event-loop tick (libuv since 1.45), so one
 * that accepted a connection suggests that more are waiting, and work that can wait should leave the next ones to them:
 * without work they take a fraction of a millisecond, in a busy process tens of them.
 */
import type { Server } from 'node:http';

/** New connections go first for this long at a time, and then not for as long. */
const ACCEPT_MS = 100;

export class NewConnections {
  /** Whether a connection was accepted in this event-loop tick, and in the one before. */
  #now = false;
  #before = false;
  #watching = false;
  /** When they last began to go first. */
  #firstMs = -Infinity;

  constructor(server: Server) {
    server.on('connection', () => {
      this.#now = true;
      this.#watch();
    });
  }

  /** Whether work that can wait should wait for one of the next event-loop ticks. */
  goFirst(): boolean {
    if (!this.#now && !this.#before) return false;
    const nowMs = performance.now();
    if (nowMs - this.#firstMs >= 2 * ACCEPT_MS) this.#firstMs = nowMs;
    return nowMs - this.#firstMs < ACCEPT_MS;
  }

  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    setImmediate(this.#endTick);
  }

  readonly #endTick = (): void => {
    this.#watching = false;
    this.#before = this.#now;
    this.#now = false;
    if (this.#before) this.#watch();
  };
}
