/**
 * The events of a subscription, executed one after the other. Each event is charged to its viewer, waits for its turn
 * among all subscriptions of the process, and is executed again if Postgres was unavailable.
 *
 * graphql-js's own `subscribe` does none of these three.
 */
import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute } from 'graphql';
import { isUnavailable } from '../../engine/postgres/index.js';

export interface SubscriptionEventsOptions {
  /** Takes the cost of one event from the viewer's rate limit. @throws RATE_LIMITED, which ends the subscription */
  readonly pay: () => Promise<unknown>;
  /** Runs the execution of one event when it is the viewer's turn. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Runs work that only reads, and repeats it if Postgres was unavailable. */
  readonly retrying: <T>(work: () => Promise<T>) => Promise<T>;
  /** Wraps the whole work on one event, from its payment to its result. */
  readonly executing: (work: () => Promise<ExecutionResult>) => Promise<ExecutionResult>;
  /** Called once: when events can come, or with the errors of a refusal. */
  readonly onOpened: (errors?: readonly unknown[]) => void;
  /** Called once, when the subscription has ended or failed to start. */
  readonly onEnd: () => void;
}

const ENDED: IteratorResult<ExecutionResult> = { value: undefined, done: true };

/** @returns the events, or the errors with which the subscription was refused */
export async function openEvents(
  args: ExecutionArgs,
  options: SubscriptionEventsOptions,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  try {
    const source = await options.retrying(async () => {
      const opened = await createSourceEventStream(args);
      return Symbol.asyncIterator in opened ? opened : available(opened);
    });
    options.onOpened('errors' in source ? source.errors : undefined);
    if (Symbol.asyncIterator in source) return new SubscriptionEvents(source[Symbol.asyncIterator](), args, options);
    options.onEnd();
    return source;
  } catch (error) {
    options.onOpened([error]);
    options.onEnd();
    throw error;
  }
}

/** Not a generator: its `return` would queue behind a waiting `next`. */
class SubscriptionEvents implements AsyncIterableIterator<ExecutionResult> {
  readonly #source: AsyncIterator<unknown>;
  readonly #args: ExecutionArgs;
  readonly #options: SubscriptionEventsOptions;
  #ended = false;

  constructor(source: AsyncIterator<unknown>, args: ExecutionArgs, options: SubscriptionEventsOptions) {
    this.#source = source;
    this.#args = args;
    this.#options = options;
  }

  async next(): Promise<IteratorResult<ExecutionResult>> {
    const { pay, inTurn, retrying, executing } = this.#options;
    try {
      const event = await this.#source.next();
      if (event.done === true || this.#ended) return await this.return();
      const execution = () => inTurn(async () => available(await execute({ ...this.#args, rootValue: event.value })));
      const result = await executing(() => pay().then(() => retrying(execution)));
      return { value: result, done: false };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<ExecutionResult>> {
    if (this.#ended) return ENDED;
    this.#ended = true;
    this.#options.onEnd();
    await this.#source.return?.();
    return ENDED;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** @throws the error that made a part of the result null because Postgres was unavailable */
function available(result: ExecutionResult): ExecutionResult {
  const error = result.errors?.find(isUnavailable);
  if (error !== undefined) throw error;
  return result;
}
