/**
 * Spans of OpenTelemetry. One is made only below a span that is sampled. So a process without an SDK makes none, nor
 * does a request that the sampler leaves out, nor what belongs to no request, such as the relay.
 */
import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

export type { Attributes, Context, Span };

export interface SpanDescription {
  readonly name: string;
  /** Default: internal. */
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
}

/** The name of the library in traces. */
const TRACER = 'tagfence';
/** In a context: links of the next span to the other callers of shared work. */
const LINKS = createContextKey('tagfence: links to callers');
/** Hundreds of requests may share one round trip. */
const MAX_LINKS = 32;

/** The span of this context, if it is sampled. It may have ended: what is not awaited goes on. */
export function sampledSpan(at: Context = context.active()): Span | undefined {
  if (at === ROOT_CONTEXT) return undefined; // as always where no SDK is registered
  const span = trace.getSpan(at);
  return span !== undefined && (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0 ? span : undefined;
}

/**
 * Runs `work` as a span. It gets the span, or undefined where none is made; `describe` is not called then.
 * @throws what `work` throws
 */
export function inSpan<T>(describe: () => SpanDescription, work: (span?: Span) => Promise<T>): Promise<T> {
  const span = openSpan(describe);
  if (span === undefined) return work();
  const within = trace.setSpan(context.active().deleteValue(LINKS), span);
  return ending(
    span,
    context.with(within, () => work(span)),
  );
}

/** For work that is no function: the caller gives it to `closeSpan`. Undefined where none is made. */
export function openSpan(describe: () => SpanDescription): Span | undefined {
  const at = context.active();
  if (sampledSpan(at) === undefined) return undefined;
  const links = at.getValue(LINKS) as Link[] | undefined;
  const { name, ...options } = describe();
  return trace.getTracer(TRACER).startSpan(name, { ...options, ...(links && { links }) }, at);
}

/** Messages of errors may contain values of users, so only the kind of an error is shown. */
export function closeSpan(span: Span | undefined, error?: unknown): void {
  if (span === undefined) return;
  if (error !== undefined) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    span.setAttribute('error.type', kindOf(error));
  }
  span.end();
}

async function ending<T>(span: Span, work: Promise<T>): Promise<T> {
  try {
    const value = await work;
    closeSpan(span);
    return value;
  } catch (error) {
    closeSpan(span, error ?? new Error());
    throw error;
  }
}

/** A code, such as a SQLSTATE, or the name of the class. Drizzle puts the driver's error into `cause`. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code, cause, name } = error as Error & { code?: unknown };
  if (typeof code === 'string') return code;
  return cause instanceof Error ? kindOf(cause) : name;
}

/** The context of a caller, for `forCallers`. */
export function callerContext(): Context {
  return context.active();
}

/** Runs what several callers share: below the first one that is sampled, with links to the others. */
export function forCallers<T>(callers: readonly Context[], run: () => T): T {
  const first = callers.find((at) => sampledSpan(at) !== undefined);
  if (first === undefined) return context.with(callers[0] ?? ROOT_CONTEXT, run);
  const others = new Set(callers.map((at) => sampledSpan(at)));
  others.delete(sampledSpan(first));
  others.delete(undefined);
  const links = [...others].slice(0, MAX_LINKS).map((span) => ({ context: (span as Span).spanContext() }));
  return context.with(links.length === 0 ? first : first.setValue(LINKS, links), run);
}

/** Notes in the span of this context that it has waited for what another one did. */
export function linkTo(span: Span | undefined): void {
  if (span !== undefined) sampledSpan()?.addLink({ context: span.spanContext() });
}
