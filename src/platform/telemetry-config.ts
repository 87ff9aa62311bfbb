/**
 * The settings of OpenTelemetry in the environment, under the names of its specification. Read by config.ts. What is
 * not named here, such as limits of batches (`OTEL_BSP_…`), the SDK reads by itself; so it does with the sampler, which
 * is checked here.
 */
import { z } from 'zod';
import type { Environment } from './secret-files.js';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
const SAMPLERS = [
  ...['always_on', 'always_off', 'traceidratio'],
  ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
] as const;

const SHARE = 'expected a share, 0 to 1';
const collector = z.url({
  protocol: /^https?$/,
  error: 'expected a URL like http://host:4318',
});
const pairs = z.string().regex(/^\s*[^=,\s]+=[^,]*(,[^=,]+=[^,]*)*$/, 'expected name=value,name=value,…');

export const telemetryVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(PROTOCOLS, `expected ${PROTOCOLS.join(' or ')}`).default('http/protobuf'),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.optional(),
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'none'], 'expected otlp or none').optional(),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS, `expected one of ${SAMPLERS.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number(SHARE).min(0, SHARE).max(1, SHARE).optional(),
  OTEL_SERVICE_NAME: z.string().optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs.optional(),
  OTEL_SDK_DISABLED: z.enum(['true', 'false'], 'expected true or false').default('false'),
};

const variables = z.object(telemetryVariables);

/** Where traces go, and as what. */
export interface TelemetryConfig {
  /** The URL that spans are posted to. */
  readonly url: string;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly headers: Readonly<Record<string, string>>;
  /** `service.name` and others. */
  readonly resource: Readonly<Record<string, string>>;
}

/**
 * The environment without what says how traces are sent, if none are. A platform may set that for all its programs,
 * with values that this server does not support.
 */
export function withoutUnusedTelemetry(given: Environment): Environment {
  const { OTEL_SDK_DISABLED: disabled, OTEL_TRACES_EXPORTER: to } = given;
  const endpoint = given['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? given['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  if (disabled !== 'true' && to !== 'none' && (to ?? endpoint) !== undefined) return given;
  const checked = disabled === 'true' ? ['OTEL_SDK_DISABLED'] : ['OTEL_SDK_DISABLED', 'OTEL_TRACES_EXPORTER'];
  const isUnused = (name: string) => name in telemetryVariables && !checked.includes(name);
  return Object.fromEntries(Object.entries(given).filter(([name]) => !isUnused(name)));
}

const DEFAULT_ENDPOINT = 'http://localhost:4318';
const SERVICE = 'tasks-api';

/** Undefined: nothing is recorded. */
export function telemetryConfig(v: z.output<typeof variables>): TelemetryConfig | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_TRACES_EXPORTER: to } = v;
  const wanted = to === undefined ? base !== undefined || url !== undefined : to === 'otlp';
  if (!wanted || v.OTEL_SDK_DISABLED === 'true') return undefined;
  return {
    url: url ?? `${(base ?? DEFAULT_ENDPOINT).replace(/\/$/, '')}/v1/traces`,
    protocol: v.OTEL_EXPORTER_OTLP_PROTOCOL,
    headers: recordOf(v.OTEL_EXPORTER_OTLP_HEADERS),
    resource: {
      'service.name': SERVICE,
      ...recordOf(v.OTEL_RESOURCE_ATTRIBUTES),
      ...(v.OTEL_SERVICE_NAME !== undefined && { 'service.name': v.OTEL_SERVICE_NAME }),
    },
  };
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
