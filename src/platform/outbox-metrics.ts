/** The size of the outbox, for the metrics. It is the same for all processes, and cached for a while: measuring it takes a statement. */
import { Gauge, type Registry } from 'prom-client';
import type { OutboxSize } from '../engine/postgres/index.js';
import { withTimeout } from '../engine/redis/index.js';
import { SECOND } from '../std/time.js';

const EVERY_MS = 30 * SECOND;
/** Without Postgres the other metrics must not wait. */
const WAIT_MS = SECOND / 2;

export function outboxGauges(registry: Registry, measure: () => Promise<OutboxSize>): void {
  const size = seldom(measure);
  const gauge = (name: string, help: string, of: (size: OutboxSize) => number) =>
    new Gauge({
      name,
      help,
      aggregator: 'max',
      registers: [registry],
      async collect() {
        const now = await size();
        if (now === undefined) this.remove();
        else this.set(of(now));
      },
    });
  gauge('cache_outbox_rows', 'Rows of the outbox in Postgres, as its statistics estimate them.', ({ rows }) => rows);
  gauge('cache_outbox_bytes', 'Size of the outbox in Postgres with its indexes.', ({ bytes }) => bytes);
}

/** Measures once in a while. @returns undefined while Postgres does not answer */
export function seldom<T>(measure: () => Promise<T>): () => Promise<T | undefined> {
  let measured: Promise<T | undefined> = Promise.resolve(undefined);
  let atMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = performance.now();
    if (nowMs - atMs >= EVERY_MS) {
      atMs = nowMs;
      measured = measure().catch(() => undefined);
    }
    return withTimeout(measured, WAIT_MS).catch(() => undefined);
  };
}
