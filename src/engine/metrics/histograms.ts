/** Durations that were counted elsewhere, as histograms of prom-client. */
import type { Metric, Registry } from 'prom-client';
import { DURATION_BOUNDS, type Durations } from '../cache/index.js';

interface ShownHistogram {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** By the label's value. Called when the metrics are read. */
  readonly read: () => ReadonlyMap<string, Durations>;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Registers a histogram that shows what `read` returns. */
export function showDurations(registry: Registry, { name, help, label, read }: ShownHistogram): void {
  const shown = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => {
      const values = [...read()].flatMap(([value, durations]) => samplesOf(name, { [label]: value }, durations));
      return { name, help, type: 'histogram', aggregator: 'sum', values };
    },
    reset: () => {}, // the counts belong to what is measured
  };
  // What a registry calls of a metric. Its own histogram has no way to take counts over.
  registry.registerMetric(shown as unknown as Metric);
}

function samplesOf(name: string, labels: Readonly<Record<string, string>>, durations: Durations): Sample[] {
  const counts = durations.cumulative;
  const bucket = (le: number | string, i: number): Sample => ({
    metricName: `${name}_bucket`,
    labels: { le, ...labels },
    value: counts[i] as number,
  });
  return [
    ...DURATION_BOUNDS.map(bucket),
    bucket('+Inf', DURATION_BOUNDS.length),
    { metricName: `${name}_sum`, labels, value: durations.sumS },
    { metricName: `${name}_count`, labels, value: counts.at(-1) as number },
  ];
}
