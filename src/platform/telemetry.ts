/**
 * Traces: starts OpenTelemetry's SDK and sends spans to a collector. The SDK is optional and imported only when it is
 * wanted. A collector that is away slows no request: spans wait in a bounded queue and are dropped when it is full.
 */
import type { SpanExporter } from '@opentelemetry/sdk-trace-node';
import { systemClock } from '../engine/cache/index.js';
import { SECOND } from '../std/time.js';
import { ConfigError } from './config-error.js';
import { version } from './config-words.js';
import type { Log } from './log.js';
import type { TelemetryConfig } from './telemetry-config.js';

/** Time for the last spans at shutdown. */
export const FLUSH_MS = 3 * SECOND;
/** Longer values are cut: clients choose some, such as `user_agent.original`. */
const MAX_ATTRIBUTE_CHARS = 4096;
const PACKAGES =
  '@opentelemetry/sdk-trace-node @opentelemetry/resources @opentelemetry/exporter-trace-otlp-{proto,http}';
const SUCCEEDED = 0;

/** Registers the SDK. Call it before the server is created. @throws ConfigError if its packages are not installed */
export async function startTelemetry(config: TelemetryConfig, log: Log): Promise<{ stop(): Promise<void> }> {
  const { sdk, resources, Exporter } = await packages(config);
  const { url, headers, resource } = config;
  const provider = new sdk.NodeTracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.version': version, ...resource })),
    spanLimits: { attributeValueLengthLimit: MAX_ATTRIBUTE_CHARS },
    spanProcessors: [new sdk.BatchSpanProcessor(reported(new Exporter({ url, headers }), url, log))],
  });
  provider.register();
  return {
    stop: () => Promise.race([provider.shutdown(), systemClock.sleep(FLUSH_MS)]),
  };
}

async function packages({ protocol }: TelemetryConfig) {
  try {
    const [sdk, resources, { OTLPTraceExporter: Exporter }] = await Promise.all([
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/resources'),
      protocol === 'http/json'
        ? import('@opentelemetry/exporter-trace-otlp-http')
        : import('@opentelemetry/exporter-trace-otlp-proto'),
    ]);
    return { sdk, resources, Exporter };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigError(`OTEL_*: traces need packages that are not installed: npm install ${PACKAGES}`);
  }
}

/**
 * Logs one line when spans begin to be lost, and one when they are delivered again. Path, query and user of the URL may
 * be secrets: the lines have only its host.
 */
function reported(exporter: SpanExporter, url: string, log: Log): SpanExporter {
  const { host } = new URL(url);
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code !== SUCCEEDED;
        if (failed && !failing) log.warn(`traces cannot be delivered to ${host}: ${reasonOf(result.error)}`);
        if (!failed && failing) log.warn(`traces are delivered to ${host} again`);
        failing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush && { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  };
}

/** Failures to connect have a code, and sometimes no message. */
function reasonOf(error: (Error & { code?: string | number }) | undefined): string {
  if (error === undefined) return 'the reason is not known';
  return [error.code, error.message].filter(Boolean).join(' ') || error.name;
}
