/** Outcomes of cached calls under the names that the API gives them. */
import type { OutcomeKind } from '../../engine/cache/index.js';

export interface OutcomeCounts {
  readonly nearHits: number;
  readonly hits: number;
  readonly stale: number;
  readonly joined: number;
  readonly misses: number;
  readonly bypasses: number;
  readonly errors: number;
}

export function outcomeCounts(counts: Readonly<Partial<Record<OutcomeKind, number>>>): OutcomeCounts {
  const count = (kind: OutcomeKind) => counts[kind] ?? 0;
  return {
    nearHits: count('near-hit'),
    hits: count('hit'),
    stale: count('stale'),
    joined: count('joined'),
    misses: count('miss'),
    bypasses: count('bypass'),
    errors: count('error'),
  };
}
