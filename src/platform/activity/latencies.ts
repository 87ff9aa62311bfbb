/**
 * Latencies as counts in buckets, each 15 % wider than the one before: small enough to send once a second, and the same
 * in all processes, so that they can be added up. A percentile is the middle of its bucket, so it is off by 8 % at most.
 */
const FIRST_MS = 0.05;
const GROWTH = 1.15;
const LOG_GROWTH = Math.log(GROWTH);
/** Up to 60 s; slower ones are in the last. */
const BUCKETS = 101;

/** Counts by bucket; buckets without any are absent. At most 101. */
export type Latencies = Map<number, number>;

export function addLatency(latencies: Latencies, ms: number): void {
  const bucket = ms <= FIRST_MS ? 0 : Math.min(BUCKETS - 1, 1 + Math.floor(Math.log(ms / FIRST_MS) / LOG_GROWTH));
  latencies.set(bucket, (latencies.get(bucket) ?? 0) + 1);
}

export function addLatencies(latencies: Latencies, others: Iterable<readonly [bucket: number, count: number]>): void {
  for (const [bucket, count] of others) latencies.set(bucket, (latencies.get(bucket) ?? 0) + count);
}

/** In ms. @param share of the latencies that are at most as long, 0 to 1. 0 without any latency */
export function percentile(latencies: Latencies, share: number): number {
  const sorted = [...latencies].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bucket, count] of sorted) {
    seen += count;
    if (seen >= share * total) return Math.round(FIRST_MS * GROWTH ** Math.max(0, bucket - 0.5) * 1000) / 1000;
  }
  return 0;
}
