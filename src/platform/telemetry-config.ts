/**
 * The settings of OpenTelemetry in the environment, under the names of its specification. Read by config.ts. What is
 * not named here, such as limits of batches (`OTEL_BSP_…`), the SDK reads by itself; so it does with the sampler, which
 * is checked here. Traces and metrics are turned on and off independently.
 */
import { z } from 'zod';
import { MINUTE } from '../std/time.js';
import type { Environment } from './secret-files.js';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
const SAMPLERS = [
  ...['always_on', 'always_off', 'traceidratio'],
  ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
] as const;

const MIN_INTERVAL_MS = 100;
const INTERVAL = `expected milliseconds, at least ${MIN_INTERVAL_MS}`;
const SHARE = 'expected a share, 0 to 1';
const collector = z.url({
  protocol: /^https?$/,
  error: 'expected a URL like http://host:4318',
});
const pairs = z.string().regex(/^\s*[^=,\s]+=[^,]*(,[^=,]+=[^,]*)*$/, 'expected name=value,name=value,…');

export const telemetryVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector.optional(),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: collector.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(PROTOCOLS, `expected ${PROTOCOLS.join(' or ')}`).default('http/protobuf'),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.optional(),
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'none'], 'expected otlp or none').optional(),
  OTEL_METRICS_EXPORTER: z.enum(['otlp', 'none'], 'expected otlp or none').optional(),
  OTEL_METRIC_EXPORT_INTERVAL: z.coerce.number(INTERVAL).int(INTERVAL).min(MIN_INTERVAL_MS, INTERVAL).default(MINUTE),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS, `expected one of ${SAMPLERS.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number(SHARE).min(0, SHARE).max(1, SHARE).optional(),
  OTEL_SERVICE_NAME: z.string().optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs.optional(),
  OTEL_SDK_DISABLED: z.enum(['true', 'false'], 'expected true or false').default('false'),
};

const variables = z.object(telemetryVariables);

type Signal = 'TRACES' | 'METRICS';

/** Where traces and metrics go, and as what. */
export interface TelemetryConfig {
  /** The URL that spans are posted to. Absent: none are recorded. */
  readonly tracesUrl: string | undefined;
  /** Where metrics are posted to, and how often. Absent: nowhere. */
  readonly metrics: { readonly url: string; readonly everyMs: number } | undefined;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly headers: Readonly<Record<string, string>>;
  /** `service.name` and others. */
  readonly resource: Readonly<Record<string, string>>;
}

/**
 * The environment without what says how traces and metrics are sent, if neither are. A platform may set that for all its
 * programs, with values that this server does not support.
 */
export function withoutUnusedTelemetry(given: Environment): Environment {
  const isDisabled = given['OTEL_SDK_DISABLED'] === 'true';
  if (!isDisabled && (isWanted(given, 'TRACES') || isWanted(given, 'METRICS'))) return given;
  const checked = isDisabled
    ? ['OTEL_SDK_DISABLED']
    : ['OTEL_SDK_DISABLED', 'OTEL_TRACES_EXPORTER', 'OTEL_METRICS_EXPORTER'];
  const isUnused = (name: string) => name in telemetryVariables && !checked.includes(name);
  return Object.fromEntries(Object.entries(given).filter(([name]) => !isUnused(name)));
}

/** By its exporter, or else because it has an endpoint. */
function isWanted(given: Readonly<Record<string, unknown>>, signal: Signal): boolean {
  const to = given[`OTEL_${signal}_EXPORTER`];
  const endpoint = given['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? given[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`];
  return to !== 'none' && (to ?? endpoint) !== undefined;
}

const DEFAULT_ENDPOINT = 'http://localhost:4318';
const SERVICE = 'tasks-api';

/** Undefined: nothing is sent. */
export function telemetryConfig(v: z.output<typeof variables>): TelemetryConfig | undefined {
  if (v.OTEL_SDK_DISABLED === 'true') return undefined;
  const tracesUrl = urlOf(v, 'TRACES');
  const metricsUrl = urlOf(v, 'METRICS');
  if (tracesUrl === undefined && metricsUrl === undefined) return undefined;
  return {
    tracesUrl,
    metrics: metricsUrl === undefined ? undefined : { url: metricsUrl, everyMs: v.OTEL_METRIC_EXPORT_INTERVAL },
    protocol: v.OTEL_EXPORTER_OTLP_PROTOCOL,
    headers: recordOf(v.OTEL_EXPORTER_OTLP_HEADERS),
    resource: {
      'service.name': SERVICE,
      ...recordOf(v.OTEL_RESOURCE_ATTRIBUTES),
      ...(v.OTEL_SERVICE_NAME !== undefined && { 'service.name': v.OTEL_SERVICE_NAME }),
    },
  };
}

function urlOf(v: z.output<typeof variables>, signal: Signal): string | undefined {
  if (!isWanted(v, signal)) return undefined;
  const base = (v.OTEL_EXPORTER_OTLP_ENDPOINT ?? DEFAULT_ENDPOINT).replace(/\/$/, '');
  return v[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] ?? `${base}/v1/${signal.toLowerCase()}`;
}

/** Values are percent-encoded, as in the header `baggage`. */
function recordOf(text = ''): Record<string, string> {
  const given = text.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    given.map((pair) => {
      const [name = '', ...value] = pair.split('=');
      return [name.trim(), decoded(value.join('=').trim())];
    }),
  );
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
