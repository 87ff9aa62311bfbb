/**
 * Spans of the runs of live queries. A run answers all clients of its query, so it is a trace of its own, below none of
 * their connections.
 */
import { context, ROOT_CONTEXT, type Tracer, trace } from '@opentelemetry/api';
import { type LiveRun, RunLater } from '../../engine/cache/index.js';
import { OperationNames } from '../../platform/request-metrics.js';
import { describeOperation, serverTracer } from '../request-span.js';
import { endSpan } from '../websocket/subscription-spans.js';
import type { AcceptedQuery } from './query-answers.js';

/** Undefined without an SDK. Call it when the server is created. */
export function runSpans(): RunSpans | undefined {
  const tracer = serverTracer();
  return tracer && new RunSpans(tracer);
}

export class RunSpans {
  readonly #tracer: Tracer;
  readonly #names = new OperationNames();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /**
   * Runs `work`. Spans that it makes are below that of the run.
   * @throws what `work` throws
   */
  async run(
    { operation, caller }: AcceptedQuery,
    { isUnchanged }: LiveRun,
    work: () => Promise<string>,
  ): Promise<string> {
    const span = this.#tracer.startSpan('query', { root: true }, ROOT_CONTEXT);
    describeOperation(span, operation, { caller, names: this.#names });
    try {
      const text = await context.with(trace.setSpan(ROOT_CONTEXT, span), work);
      span.setAttribute('tasks.live.result', isUnchanged(text) ? 'unchanged' : 'sent');
      endSpan(span, undefined);
      return text;
    } catch (error) {
      const isPostponed = error instanceof RunLater;
      span.setAttribute('tasks.live.result', isPostponed ? 'postponed' : 'failed');
      endSpan(span, isPostponed ? undefined : [error]);
      throw error;
    }
  }
}
