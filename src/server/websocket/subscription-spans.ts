/**
 * Spans of subscriptions, by OpenTelemetry's conventions for GraphQL servers: one for the acceptance of a subscription,
 * below the span that the client names as `traceparent` in `connection_init`, and one for each of its events. A
 * subscription may be open for days, so each event is a trace of its own, with a link to the acceptance.
 */
import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { INTERNAL, publicCode } from '../../graphql/errors.js';
import { OperationNames } from '../../platform/request-metrics.js';
import { describeOperation, type NamedOperation, serverTracer } from '../request-span.js';

/** Undefined without an SDK. Call it when the server is created. */
export function subscriptionSpans(): SubscriptionSpans | undefined {
  const tracer = serverTracer();
  return tracer && new SubscriptionSpans(tracer);
}

export class SubscriptionSpans {
  readonly #tracer: Tracer;
  readonly #names = new OperationNames();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** @param params the payload of `connection_init` */
  start(params: Readonly<Record<string, unknown>> | undefined): SubscriptionSpan {
    const { traceparent, tracestate } = params ?? {};
    const from = propagation.extract(ROOT_CONTEXT, {
      ...(typeof traceparent === 'string' && { traceparent }),
      ...(typeof tracestate === 'string' && { tracestate }),
    });
    return new SubscriptionSpan(this.#tracer, this.#names, from);
  }
}

export class SubscriptionSpan {
  readonly #tracer: Tracer;
  readonly #names: OperationNames;
  readonly #accepting: Span;
  readonly #context: Context;
  /** Whether the client does not sample its trace. Then events have no spans either. */
  readonly #isUnsampled: boolean;
  #describe: (span: Span) => void = () => {};
  #events = 0;

  constructor(tracer: Tracer, names: OperationNames, from: Context) {
    this.#tracer = tracer;
    this.#names = names;
    const client = trace.getSpanContext(from);
    const sampled = ((client?.traceFlags ?? TraceFlags.NONE) & TraceFlags.SAMPLED) !== 0;
    this.#isUnsampled = client !== undefined && isSpanContextValid(client) && !sampled;
    this.#accepting = tracer.startSpan('subscription', { kind: SpanKind.SERVER }, from);
    this.#context = trace.setSpan(from, this.#accepting);
  }

  /** Spans that `work` makes are below the acceptance. It may start nothing that outlives it. */
  run<T>(work: () => T): T {
    return context.with(this.#context, work);
  }

  operation(operation: NamedOperation, caller: string): void {
    this.#describe = (span) => describeOperation(span, operation, { caller, names: this.#names });
    this.#describe(this.#accepting);
  }

  /** The end of the acceptance. @param errors of the refusal */
  accepted(errors: readonly unknown[] | undefined): void {
    endSpan(this.#accepting, errors);
  }

  /** Runs the execution of an event. Spans that it makes are below that of the event. @throws what `work` throws */
  async event(work: () => Promise<ExecutionResult>): Promise<ExecutionResult> {
    if (this.#isUnsampled) return work();
    const links = [{ context: this.#accepting.spanContext() }];
    const attributes = { 'tasks.subscription.event': ++this.#events };
    const span = this.#tracer.startSpan('subscription', { attributes, links, root: true }, ROOT_CONTEXT);
    this.#describe(span);
    try {
      const result = await context.with(trace.setSpan(ROOT_CONTEXT, span), work);
      endSpan(span, result.errors);
      return result;
    } catch (error) {
      endSpan(span, [error]);
      throw error;
    }
  }
}

/** @param errors of the result, or the one thrown */
export function endSpan(span: Span, errors: readonly unknown[] = []): void {
  const codes = errors.map(codeOf);
  const [first] = codes;
  if (first !== undefined) span.setAttribute('error.type', codes.includes(INTERNAL) ? INTERNAL : first);
  if (codes.includes(INTERNAL)) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

function codeOf(error: unknown): string {
  return error instanceof GraphQLError ? publicCode(error) : INTERNAL;
}
