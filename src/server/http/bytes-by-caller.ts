/**
 * Counts the bytes that this process currently holds for its callers, in total and per caller, so that both can be
 * limited.
 */
import type { EventEmitter } from 'node:events';

export class BytesByCaller {
  /** Callers for which nothing is held have no entry. */
  readonly #byCaller = new Map<string, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  of(caller: string): number {
    return this.#byCaller.get(caller) ?? 0;
  }

  /** Counts `bytes` until `stream` emits one of the events. Then calls `onEnd`, once. */
  hold(
    caller: string,
    bytes: number,
    until: { stream: EventEmitter; events: readonly string[]; onEnd?: () => void },
  ): void {
    this.#add(caller, bytes);
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      this.#add(caller, -bytes);
      until.onEnd?.();
    };
    for (const event of until.events) until.stream.once(event, end);
  }

  #add(caller: string, bytes: number): void {
    this.#total += bytes;
    const own = this.of(caller) + bytes;
    if (own > 0) this.#byCaller.set(caller, own);
    else this.#byCaller.delete(caller);
  }
}
