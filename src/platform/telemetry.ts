/**
 * Traces and metrics: starts OpenTelemetry's SDK and sends both to a collector. The SDK is optional and imported only
 * when it is wanted. A collector that is away slows no request: spans wait in a bounded queue and are dropped when it is
 * full.
 */
import { randomUUID } from 'node:crypto';
import type { MetricData, PushMetricExporter } from '@opentelemetry/sdk-metrics';
import { systemClock } from '../engine/cache/index.js';
import { SECOND } from '../std/time.js';
import { ConfigError } from './config-error.js';
import { version } from './config-words.js';
import type { Log } from './log.js';
import type { Running } from './shutdown.js';
import type { TelemetryConfig } from './telemetry-config.js';
import type { Samples } from './worker-messages.js';

/** Time for the last spans and metrics at shutdown. */
export const FLUSH_MS = 3 * SECOND;
/** Longer values are cut: clients choose some, such as `user_agent.original`. */
const MAX_ATTRIBUTE_CHARS = 4096;
const PACKAGES =
  '@opentelemetry/sdk-{trace-node,metrics} @opentelemetry/resources ' +
  '@opentelemetry/exporter-trace-otlp-{proto,http} @opentelemetry/otlp-{exporter-base,transformer}';
const SUCCEEDED = 0;
const SCOPE = { name: 'tasks-api', version };
const startedMs = Date.now() - performance.now();

type Packages = Awaited<ReturnType<typeof packages>>;

export interface Telemetry extends Running {
  /** Sends what `read` finds from now on, if the environment wants that. */
  sendMetrics(read: () => Promise<Samples>): void;
}

class OpenTelemetry implements Telemetry {
  readonly ownMs = FLUSH_MS + SECOND;
  readonly #stops: (() => Promise<void>)[] = [];
  readonly #sendMetrics: ((read: () => Promise<Samples>) => () => Promise<void>) | undefined;

  /** Registers the SDK. */
  constructor(config: TelemetryConfig, found: Packages, log: Log) {
    const { resources } = found;
    const attributes = { 'service.version': version, 'service.instance.id': randomUUID(), ...config.resource };
    const resource = resources.defaultResource().merge(resources.resourceFromAttributes(attributes));
    const from = { config, found, resource, log };
    if (config.tracesUrl !== undefined) this.#stops.push(startTraces({ ...from, url: config.tracesUrl }));
    const { metrics } = config;
    this.#sendMetrics = metrics && ((read) => startMetrics({ ...from, ...metrics, read }));
  }

  sendMetrics(read: () => Promise<Samples>): void {
    if (this.#sendMetrics !== undefined) this.#stops.push(this.#sendMetrics(read));
  }

  /** Sends what is left. */
  async stop(): Promise<void> {
    const flushed = Promise.all(this.#stops.map((stop) => stop()));
    await Promise.race([flushed, systemClock.sleep(FLUSH_MS)]);
  }
}

/** Call it before the server is created. @throws ConfigError if the packages of the SDK are not installed */
export async function startTelemetry(config: TelemetryConfig, log: Log): Promise<Telemetry> {
  return new OpenTelemetry(config, await packages(config), log);
}

async function packages({ protocol }: TelemetryConfig) {
  const isJson = protocol === 'http/json';
  try {
    const [traces, metrics, resources, exporters, transport, forms, { OTLPTraceExporter }, { metricsOf }] =
      await Promise.all([
        import('@opentelemetry/sdk-trace-node'),
        import('@opentelemetry/sdk-metrics'),
        import('@opentelemetry/resources'),
        import('@opentelemetry/otlp-exporter-base'),
        import('@opentelemetry/otlp-exporter-base/node-http'),
        import('@opentelemetry/otlp-transformer'),
        isJson ? import('@opentelemetry/exporter-trace-otlp-http') : import('@opentelemetry/exporter-trace-otlp-proto'),
        import('./otlp-metrics.js'),
      ]);
    const form = isJson
      ? { serializer: forms.JsonMetricsSerializer, type: 'application/json' }
      : { serializer: forms.ProtobufMetricsSerializer, type: 'application/x-protobuf' };
    return { traces, metrics, resources, exporters, transport, forms, form, OTLPTraceExporter, metricsOf };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigError(`OTEL_*: traces and metrics need packages that are not installed: npm install ${PACKAGES}`);
  }
}

interface Start {
  readonly config: TelemetryConfig;
  readonly found: Packages;
  readonly resource: ReturnType<Packages['resources']['defaultResource']>;
  readonly url: string;
  readonly log: Log;
}

/** @returns what sends the last ones */
function startTraces({ config: { headers }, found, resource, url, log }: Start): () => Promise<void> {
  const { traces, OTLPTraceExporter } = found;
  const exporter = reported(new OTLPTraceExporter({ url, headers }), { what: 'traces', url, log });
  const provider = new traces.NodeTracerProvider({
    resource,
    spanLimits: { attributeValueLengthLimit: MAX_ATTRIBUTE_CHARS },
    spanProcessors: [new traces.BatchSpanProcessor(exporter)],
  });
  provider.register();
  return () => provider.shutdown();
}

interface MetricsStart extends Start {
  readonly everyMs: number;
  readonly read: () => Promise<Samples>;
}

/** @returns what sends the last ones */
function startMetrics({ found, resource, everyMs, read, ...to }: MetricsStart): () => Promise<void> {
  const { metrics, metricsOf } = found;
  const collect = async () => {
    const made: MetricData[] = metricsOf(await read(), { startedMs, nowMs: Date.now() });
    return { resourceMetrics: { resource, scopeMetrics: [{ scope: SCOPE, metrics: made }] }, errors: [] };
  };
  const reader = new metrics.PeriodicExportingMetricReader({
    exporter: reported(metricExporter(found, to), { what: 'metrics', ...to }),
    exportIntervalMillis: everyMs,
    exportTimeoutMillis: everyMs,
    metricProducers: [{ collect }],
  });
  const provider = new metrics.MeterProvider({ resource, readers: [reader] });
  return () => provider.shutdown();
}

/** As the packages `@opentelemetry/exporter-metrics-otlp-…` make it, of the parts that exporters of traces bring along. */
function metricExporter(found: Packages, { config: { headers }, url }: Pick<Start, 'config' | 'url'>) {
  const { exporters, transport, forms, form } = found;
  const options = transport.convertLegacyHttpOptions({ url, headers }, 'METRICS', 'v1/metrics', {
    'Content-Type': form.type,
  });
  const delegate = transport.createOtlpHttpExportDelegate(
    options,
    form.serializer,
    'otlp_http_metric_exporter',
    forms.MetricsExporterMetricsHelper,
    undefined, // no metrics of its own
  );
  return new exporters.OTLPExporterBase(delegate) as PushMetricExporter;
}

interface Exporter {
  export(items: never, done: (result: Result) => void): void;
}

interface Result {
  readonly code: number;
  readonly error?: Error & { code?: string | number };
}

/**
 * Logs one line when something begins to be lost, and one when it is delivered again. Path, query and user of the URL
 * may be secrets: the lines have only its host.
 */
function reported<E extends Exporter>(exporter: E, { what, url, log }: { what: string; url: string; log: Log }): E {
  const { host } = new URL(url);
  const send = exporter.export.bind(exporter);
  let failing = false;
  exporter.export = (items, done) =>
    send(items, (result) => {
      const failed = result.code !== SUCCEEDED;
      if (failed && !failing) log.warn(`${what} cannot be delivered to ${host}: ${reasonOf(result.error)}`);
      if (!failed && failing) log.warn(`${what} are delivered to ${host} again`);
      failing = failed;
      done(result);
    });
  return exporter;
}

/** Failures to connect have a code, and sometimes no message. */
function reasonOf(error: Result['error']): string {
  if (error === undefined) return 'the reason is not known';
  return [error.code, error.message].filter(Boolean).join(' ') || error.name;
}
