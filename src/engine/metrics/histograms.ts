/** Durations that were counted elsewhere, as histograms of prom-client. */
import type { Metric, Registry } from 'prom-client';
import type { Durations } from '../cache/index.js';

type Labels = Readonly<Record<string, string | number>>;

export interface ShownHistogram {
  readonly name: string;
  readonly help: string;
  /** Called when the metrics are read. */
  readonly read: () => Iterable<readonly [labels: Labels, Durations]>;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Registers a histogram that shows what `read` returns. */
export function showDurations(registry: Registry, { name, help, read }: ShownHistogram): void {
  const shown = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => {
      const values = [...read()].flatMap(([labels, durations]) => samplesOf(name, labels, durations));
      return { name, help, type: 'histogram', aggregator: 'sum', values };
    },
    reset: () => {}, // the counts belong to what is measured
  };
  // What a registry calls of a metric. Its own histogram has no way to take counts over.
  registry.registerMetric(shown as unknown as Metric);
}

function samplesOf(name: string, labels: Labels, durations: Durations): Sample[] {
  const counts = durations.cumulative;
  const bucket = (le: number | string, i: number): Sample => ({
    metricName: `${name}_bucket`,
    labels: { le, ...labels },
    value: counts[i] as number,
  });
  return [
    ...durations.bounds.map(bucket),
    bucket('+Inf', durations.bounds.length),
    { metricName: `${name}_sum`, labels, value: durations.sumS },
    { metricName: `${name}_count`, labels, value: counts.at(-1) as number },
  ];
}

/** Durations by the value of one label. */
export function* byLabel(label: string, durations: Iterable<readonly [string, Durations]>) {
  for (const [value, of] of durations) yield [{ [label]: value }, of] as const;
}
