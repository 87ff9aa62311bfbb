/** A collector of OpenTelemetry for tests: takes OTLP over HTTP as JSON, and shows traces as trees. */
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

export interface Collector {
  /** Without a path. */
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
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

const ERROR_STATUS = 2;

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const requests: { path: string; type: string; body: Buffer }[] = [];
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    const type = request.headers['content-type'] ?? '';
    requests.push({ path: request.url ?? '', type, body });
    if (type.includes('json')) spans.push(...spansIn(JSON.parse(body.toString())));
    response.setHeader('content-type', 'application/json').end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
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
