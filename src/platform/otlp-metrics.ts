/**
 * The metrics of /metrics in the form of OpenTelemetry: the same families, so that both ways of watching show the same.
 * What OpenTelemetry's semantic conventions name has their names, units and attributes. Everything else keeps its own:
 * `cache_old_fences_total` is `cache.old_fences`. Nothing is counted twice: the samples are read when they are sent.
 */
import { type Attributes, type HrTime, ValueType } from '@opentelemetry/api';
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricDescriptor,
} from '@opentelemetry/sdk-metrics';
import type { MetricObjectWithValues, MetricValue, MetricValueWithName } from 'prom-client';
import { SECOND } from '../std/time.js';
import type { Samples } from './worker-messages.js';

type Family = MetricObjectWithValues<MetricValue<string>>;
type Labels = Readonly<Record<string, string | number>>;

/** How a family is named by the conventions. */
interface Convention {
  readonly name: string;
  /** Default: as the suffix of the family says. */
  readonly unit?: string;
  readonly attributes: (labels: Labels) => Attributes;
  /** A gauge of something that several processes have shares of: a sum that rises and falls. */
  readonly isSum?: true;
}

const pool =
  (more: Attributes = {}): Convention['attributes'] =>
  (labels) => ({ 'db.system.name': 'postgresql', 'db.client.connection.pool.name': labels['pool'], ...more });
const none = () => ({});
const heapSpace = ({ space }: Labels) => ({ 'v8js.heap.space.name': `${space}_space` });

export const CONVENTIONS: Readonly<Record<string, Convention>> = {
  tasks_request_duration_seconds: { name: 'http.server.request.duration', attributes: requestAttributes },
  cache_redis_trip_duration_seconds: {
    name: 'db.client.operation.duration',
    attributes: ({ kind }) => ({ 'db.system.name': 'redis', 'db.operation.name': kind }),
  },
  tasks_postgres_pool_connections: {
    ...{ name: 'db.client.connection.max', unit: '{connection}', attributes: pool(), isSum: true },
  },
  tasks_postgres_pool_in_use: {
    ...{ name: 'db.client.connection.count', unit: '{connection}', isSum: true },
    attributes: pool({ 'db.client.connection.state': 'used' }),
  },
  tasks_postgres_pool_waiting: {
    ...{ name: 'db.client.connection.pending_requests', unit: '{request}', attributes: pool(), isSum: true },
  },
  process_cpu_user_seconds_total: { name: 'process.cpu.time', attributes: () => ({ 'cpu.mode': 'user' }) },
  process_cpu_system_seconds_total: { name: 'process.cpu.time', attributes: () => ({ 'cpu.mode': 'system' }) },
  process_resident_memory_bytes: { name: 'process.memory.usage', attributes: none, isSum: true },
  process_virtual_memory_bytes: { name: 'process.memory.virtual', attributes: none, isSum: true },
  process_open_fds: {
    ...{ name: 'process.unix.file_descriptor.count', unit: '{file_descriptor}', attributes: none, isSum: true },
  },
  nodejs_gc_duration_seconds: { name: 'v8js.gc.duration', attributes: ({ kind }) => ({ 'v8js.gc.type': kind }) },
  nodejs_heap_space_size_used_bytes: { name: 'v8js.memory.heap.used', attributes: heapSpace, isSum: true },
  nodejs_heap_space_size_total_bytes: { name: 'v8js.memory.heap.limit', attributes: heapSpace, isSum: true },
  nodejs_heap_space_size_available_bytes: {
    ...{ name: 'v8js.memory.heap.space.available_size', attributes: heapSpace, isSum: true },
  },
  ...Object.fromEntries(
    ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map((figure) => [
      `nodejs_eventloop_lag_${figure}_seconds`,
      { name: `nodejs.eventloop.delay.${figure}`, attributes: none },
    ]),
  ),
};

/** Sums over the labels of another family. */
export const LEFT_OUT: ReadonlySet<string> = new Set([
  'process_cpu_seconds_total',
  ...['nodejs_active_resources_total', 'nodejs_active_handles_total', 'nodejs_active_requests_total'],
]);
const UNITS = { _seconds: 's', _bytes: 'By' } as const;

function requestAttributes({ operation, answered, status }: Labels): Attributes {
  return {
    'http.route': '/graphql',
    'http.response.status_code': Number(status),
    'tasks.answered': answered,
    ...(operation !== '' && { 'graphql.operation.name': operation }),
  };
}

interface Interval {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/** @param startedMs since when the samples count, ms since 1970 */
export function metricsOf(samples: Samples, { startedMs, nowMs }: { startedMs: number; nowMs: number }): MetricData[] {
  const interval = { startTime: timeOf(startedMs), endTime: timeOf(nowMs) };
  const metrics = new Map<string, MetricData>();
  for (const family of samples) {
    if (LEFT_OUT.has(family.name)) continue;
    const metric = metricOf(family, interval);
    if (metric === undefined) continue;
    const known = metrics.get(metric.descriptor.name);
    if (known === undefined) metrics.set(metric.descriptor.name, metric);
    else (known.dataPoints as unknown[]).push(...metric.dataPoints); // families of one name are of one type
  }
  return [...metrics.values()];
}

function timeOf(ms: number): HrTime {
  return [Math.floor(ms / SECOND), Math.round((ms % SECOND) * 1_000_000)];
}

/** Undefined: a type that OpenTelemetry does not have. */
function metricOf(family: Family, interval: Interval): MetricData | undefined {
  const convention = CONVENTIONS[family.name];
  const attributesOf = convention?.attributes ?? ((labels: Labels) => ({ ...labels }));
  const described = {
    descriptor: descriptorOf(family, convention),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  switch (String(family.type)) {
    case 'histogram':
      return {
        ...described,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: histogramsOf(family.values as readonly MetricValueWithName<string>[], attributesOf, interval),
      };
    case 'counter':
    case 'gauge': {
      const dataPoints = family.values.map(
        ({ value, labels }): DataPoint<number> => ({ ...interval, value, attributes: attributesOf(labels as Labels) }),
      );
      const isMonotonic = String(family.type) === 'counter';
      return isMonotonic || convention?.isSum === true
        ? { ...described, dataPointType: DataPointType.SUM, isMonotonic, dataPoints }
        : { ...described, dataPointType: DataPointType.GAUGE, dataPoints };
    }
    default:
      return undefined;
  }
}

function descriptorOf({ name, help }: Family, convention: Convention | undefined): MetricDescriptor {
  const counted = name.replace(/_total$/, '');
  const [suffix, unit] = Object.entries(UNITS).find(([ending]) => counted.endsWith(ending)) ?? ['', ''];
  const own = counted.slice(0, counted.length - suffix.length).replace('_', '.');
  return {
    name: convention?.name ?? own,
    description: help,
    unit: convention?.unit ?? unit,
    valueType: ValueType.DOUBLE,
  };
}

/** Prometheus's buckets are cumulative, and each is a sample of its own. */
function histogramsOf(
  values: readonly MetricValueWithName<string>[],
  attributesOf: Convention['attributes'],
  interval: Interval,
): DataPoint<Histogram>[] {
  const series = new Map<string, { labels: Labels; bounds: number[]; counts: number[]; sum: number; count: number }>();
  for (const { metricName = '', labels, value } of values) {
    const { le, ...own } = labels as Labels;
    const key = JSON.stringify(own);
    const one = series.get(key) ?? { labels: own, bounds: [], counts: [], sum: 0, count: 0 };
    series.set(key, one);
    if (metricName.endsWith('_sum')) one.sum = value;
    else if (metricName.endsWith('_count')) one.count = value;
    else if (le !== '+Inf') {
      one.bounds.push(Number(le));
      one.counts.push(value);
    }
  }
  return [...series.values()].map(({ labels, bounds, counts, sum, count }) => ({
    ...interval,
    attributes: attributesOf(labels),
    value: {
      buckets: { boundaries: bounds, counts: [...counts, count].map((total, i, all) => total - (all[i - 1] ?? 0)) },
      sum,
      count,
    },
  }));
}
