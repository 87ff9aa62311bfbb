/** How long after the acknowledgment of a write each client had it. */
import type { Receipt } from './protocol.js';
import type { Acknowledgments } from './writer.js';

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Delays {
  /** Of the task that many read. */
  readonly hot: Quantiles;
  readonly others: Quantiles;
  readonly all: Quantiles;
}

/** A client that skips a version has waited for it until the later one. What comes before its acknowledgment counts as 0 ms. */
export function delaysOf(receipts: readonly Receipt[], acknowledged: Acknowledgments, hotTask: string): Delays {
  const hot: number[] = [];
  const others: number[] = [];
  for (const { task, from, to, atMs } of receipts) {
    for (let version = from + 1; version <= to; version++) {
      const acknowledgedMs = acknowledged.get(task)?.get(version);
      if (acknowledgedMs === undefined) continue; // of a measurement before
      (task === hotTask ? hot : others).push(Math.max(0, atMs - acknowledgedMs));
    }
  }
  return { hot: quantilesOf(hot), others: quantilesOf(others), all: quantilesOf([...hot, ...others]) };
}

export function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: values.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}
