/** A collector of OpenTelemetry for tests: takes OTLP over HTTP as JSON, shows traces as trees, and the last metrics. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** As in OTLP: 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The service, and more. */
  readonly resource: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly failed: boolean;
  readonly startMs: number;
  readonly ms: number;
}

/** A span with those below it, in the order of their starts. */
export interface SpanTree extends ReceivedSpan {
  readonly below: readonly SpanTree[];
}

export interface ReceivedMetric {
  readonly name: string;
  readonly unit: string;
  /** As in OTLP: what each has besides is one of these. */
  readonly kind: 'sum' | 'gauge' | 'histogram';
  readonly isMonotonic: boolean | undefined;
  readonly points: readonly ReceivedPoint[];
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface ReceivedPoint {
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Of a histogram: how many. */
  readonly value: number;
  readonly sum: number | undefined;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

export interface Collector {
  /** Without a path. */
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  /** As they were sent last, by name. */
  readonly metrics: ReadonlyMap<string, ReceivedMetric>;
  /** Content types and bodies of all requests. */
  readonly requests: readonly { readonly path: string; readonly type: string; readonly body: Buffer }[];
  close(): Promise<void>;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** What is used of OTLP's JSON. Times are decimal texts, in ns since 1970. */
interface OtlpTraces {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan extends Pick<ReceivedSpan, 'traceId' | 'spanId' | 'name' | 'kind'> {
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly OtlpAttribute[];
  readonly links?: ReceivedSpan['links'];
  readonly status?: { readonly code?: number };
}

interface OtlpMetrics {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeMetrics: readonly { readonly metrics: readonly OtlpMetric[] }[];
  }[];
}

interface OtlpPoint {
  readonly attributes?: readonly OtlpAttribute[];
  readonly asDouble?: number;
  readonly asInt?: number;
  readonly count?: number;
  readonly sum?: number;
  readonly explicitBounds?: readonly number[];
  readonly bucketCounts?: readonly number[];
}

interface OtlpMetric
  extends Partial<Record<ReceivedMetric['kind'], { dataPoints: OtlpPoint[]; isMonotonic?: boolean }>> {
  readonly name: string;
  readonly unit: string;
}

const ERROR_STATUS = 2;

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const metrics = new Map<string, ReceivedMetric>();
  const requests: { path: string; type: string; body: Buffer }[] = [];
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    const type = request.headers['content-type'] ?? '';
    requests.push({ path: request.url ?? '', type, body });
    if (type.includes('json')) {
      const sent = JSON.parse(body.toString()) as OtlpTraces | OtlpMetrics;
      if ('resourceSpans' in sent) spans.push(...spansIn(sent));
      else for (const metric of metricsIn(sent)) metrics.set(metric.name, metric);
    }
    response.setHeader('content-type', 'application/json').end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    metrics,
    requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function spansIn({ resourceSpans }: OtlpTraces): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId || undefined,
        name: span.name,
        kind: span.kind,
        attributes: valuesOf(span.attributes),
        resource: valuesOf(resource.attributes),
        links: span.links ?? [],
        failed: span.status?.code === ERROR_STATUS,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
        ms: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1_000_000,
      })),
    ),
  );
}

function metricsIn({ resourceMetrics }: OtlpMetrics): ReceivedMetric[] {
  return resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.map(({ name, unit, ...of }) => {
        const [kind, data] = Object.entries(of).find(
          ([, value]) => typeof value === 'object' && 'dataPoints' in value,
        ) as [ReceivedMetric['kind'], { dataPoints: OtlpPoint[]; isMonotonic?: boolean }];
        const points = data.dataPoints.map((point) => ({
          attributes: valuesOf(point.attributes),
          value: Number(point.asDouble ?? point.asInt ?? point.count),
          sum: point.sum,
          bounds: point.explicitBounds ?? [],
          counts: (point.bucketCounts ?? []).map(Number),
        }));
        return { name, unit, kind, isMonotonic: data.isMonotonic, points, resource: valuesOf(resource.attributes) };
      }),
    ),
  );
}

function valuesOf(attributes: readonly OtlpAttribute[] = []): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

/** The spans of a trace whose parent is not among them, with those below. */
export function treesOf(spans: readonly ReceivedSpan[], traceId: string): SpanTree[] {
  const own = spans.filter((span) => span.traceId === traceId).toSorted((a, b) => a.startMs - b.startMs);
  const ids = new Set(own.map(({ spanId }) => spanId));
  const below = (id: string): SpanTree[] =>
    own.filter(({ parentSpanId }) => parentSpanId === id).map((span) => ({ ...span, below: below(span.spanId) }));
  return own
    .filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId))
    .map((span) => ({ ...span, below: below(span.spanId) }));
}

/** Names, indented. */
export function outline(trees: readonly SpanTree[], depth = 0): string[] {
  return trees.flatMap((span) => [`${'  '.repeat(depth)}${span.name}`, ...outline(span.below, depth + 1)]);
}
