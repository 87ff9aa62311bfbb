/** A bounded map of texts that expire. The least recently written ones go first. */
import type { Clock } from './time.js';

export class ExpiringMap<K extends string> {
  readonly #values = new Map<K, { value: string; untilMs: number }>();

  constructor(
    private readonly max: number,
    private readonly clock: Clock,
  ) {}

  get(key: K): string | undefined {
    const held = this.#values.get(key);
    if (held === undefined || held.untilMs > this.clock.nowMs()) return held?.value;
    this.#values.delete(key);
    return undefined;
  }

  /** Remaining life in ms; negative after its end. */
  ttlOf(key: K): number | undefined {
    const held = this.#values.get(key);
    return held && held.untilMs - this.clock.nowMs();
  }

  delete(key: K): void {
    this.#values.delete(key);
  }

  pick(keys: readonly K[]): Map<K, string> {
    const found = new Map<K, string>();
    for (const key of keys) {
      const value = this.get(key);
      if (value !== undefined) found.set(key, value);
    }
    return found;
  }

  set(key: K, value: string, ttlMs: number): void {
    this.#values.delete(key);
    this.#values.set(key, { value, untilMs: this.clock.nowMs() + ttlMs });
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.max) break;
      this.#values.delete(oldest);
    }
  }
}
