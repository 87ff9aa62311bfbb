/**
 * What the runs of live queries cost after the first. They have points of their own, as many as requests have, so what
 * others change never costs a viewer the points for requests. A run finds most of its answer in memory, so it costs a
 * fraction of the query. Without points it is made later.
 */
import { RunLater } from '../../engine/cache/index.js';
import { causeOf } from '../../graphql/errors.js';
import { SECOND } from '../../std/time.js';
import type { RateLimits } from '../rate-limit/rate-limit.js';
import type { AcceptedQuery } from './query-answers.js';

/** An answer that is sent costs one tenth of its query. */
const ANSWERS_FOR_ONE = 10;
/** A run costs one twentieth, from points of its own, whatever comes of it: this bounds runs that change nothing. */
const RUNS_FOR_ONE = 20;
/** The wait for points where an error does not say how long. */
const NO_POINTS_MS = 5 * SECOND;

type Charged = Pick<AcceptedQuery, 'caller' | 'cost'>;

export class LivePoints {
  readonly #rateLimits: RateLimits | undefined;

  /** @param rateLimits undefined: nothing is charged */
  constructor(rateLimits: RateLimits | undefined) {
    this.#rateLimits = rateLimits;
  }

  /** @throws RunLater: the run is made when the viewer has points again */
  payRun({ caller, cost }: Charged): Promise<void> {
    return this.#pay(`live-runs:${caller}`, cost / RUNS_FOR_ONE);
  }

  /** @throws RunLater: the change is sent when the viewer has points again */
  payAnswer({ caller, cost }: Charged): Promise<void> {
    return this.#pay(`live-answers:${caller}`, cost / ANSWERS_FOR_ONE);
  }

  async #pay(count: string, points: number): Promise<void> {
    try {
      await this.#rateLimits?.charge(count, points);
    } catch (error) {
      const later = laterIn(error);
      throw later === undefined ? error : new RunLater(later);
    }
  }
}

/** The time until the caller has points again, in ms. Undefined if the error is not RATE_LIMITED. */
export function laterIn(error: unknown): number | undefined {
  const { extensions } = causeOf(error) as { extensions?: Record<string, unknown> };
  if (extensions?.['code'] !== 'RATE_LIMITED') return undefined;
  const { resetAt, retryAfterMs = NO_POINTS_MS } = extensions;
  if (typeof resetAt !== 'string') return Number(retryAfterMs);
  return Math.max(0, Date.parse(resetAt) - Date.now());
}
