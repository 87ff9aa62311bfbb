/**
 * Counts the bytes that this process currently holds for its callers, in total and per caller, so that both can be
 * limited.
 */
import type { EventEmitter } from 'node:events';

interface HeldUntil {
  readonly stream: EventEmitter & { readonly destroyed: boolean };
  readonly events: readonly string[];
  readonly onEnd?: () => void;
}

export class BytesByCaller {
  /** Callers for which nothing is held have no entry. */
  readonly #byCaller = new Map<string, number>();
  #total = 0;
  readonly #onRelease: () => void;

  /** @param onRelease called each time bytes are released */
  constructor(onRelease: () => void = () => {}) {
    this.#onRelease = onRelease;
  }

  get total(): number {
    return this.#total;
  }

  of(caller: string): number {
    return this.#byCaller.get(caller) ?? 0;
  }

  /** Counts `bytes` until `stream` emits one of the events. Then, or at once if it is destroyed, calls `onEnd`, once. */
  hold(caller: string, bytes: number, until: HeldUntil): void {
    if (until.stream.destroyed) {
      until.onEnd?.(); // no more events: the bytes would be counted for ever
      return;
    }
    const release = this.holdUntilReleased(caller, bytes);
    const end = () => {
      if (release()) until.onEnd?.();
    };
    for (const event of until.events) until.stream.once(event, end);
  }

  /** Counts `bytes` until the returned function is called, which returns whether that was the first call. */
  holdUntilReleased(caller: string, bytes: number): () => boolean {
    this.#add(caller, bytes);
    let held = true;
    return () => {
      if (!held) return false;
      held = false;
      this.#add(caller, -bytes);
      this.#onRelease();
      return true;
    };
  }

  #add(caller: string, bytes: number): void {
    this.#total += bytes;
    const own = this.of(caller) + bytes;
    if (own > 0) this.#byCaller.set(caller, own);
    else this.#byCaller.delete(caller);
  }
}
