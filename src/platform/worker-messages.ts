/** What the primary process and its workers send each other. */
import type { MetricObjectWithValues, MetricValue } from 'prom-client';

/** The metrics of one process. */
export type Samples = readonly MetricObjectWithValues<MetricValue<string>>[];

/** `stop`: end by the rules of shutdown.ts; `now` skips what is left of the delay. */
export type ToWorker =
  | { readonly kind: 'stop'; readonly now: boolean }
  | { readonly kind: 'read-samples' }
  | { readonly kind: 'gathered'; readonly text: string };

/** `gather`: a client asks this worker for the metrics of all. */
export type ToPrimary = { readonly kind: 'samples'; readonly samples: Samples } | { readonly kind: 'gather' };
