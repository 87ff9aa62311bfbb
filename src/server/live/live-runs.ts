/**
 * Runs the live queries of this process: decides which queries are equal, which failures are answers, and what an
 * answer costs. engine/cache/live decides when a query is run again.
 */
import type { GraphQLError } from 'graphql';
import {
  canonical,
  digest,
  type LiveClient,
  type LiveMembership,
  type LiveQueries,
  type LiveRun,
  RunLater,
  TooManyLiveQueries,
} from '../../engine/cache/index.js';
import { causeOf, INTERNAL, isUnauthenticated, publicCode, tooManySubscriptions } from '../../graphql/errors.js';
import type { LiveArguments } from '../../graphql/live-directive.js';
import { SECOND } from '../../std/time.js';
import type { RateLimits } from '../rate-limit/rate-limit.js';
import { LivePoints, laterIn } from './live-points.js';
import { type PatchedAnswer, Patches } from './patches.js';
import type { AcceptedQuery, QueryAnswer, QueryAnswers } from './query-answers.js';
import { runSpans } from './run-spans.js';

/** Takes the answers of a live query for one of its clients. */
export interface LiveReceiver {
  readonly wantsPatches: boolean;
  /** Takes a new answer. Called while a run ends, so it must neither throw nor wait. */
  answered(answer: PatchedAnswer): void;
  /** The viewer no longer exists, so no answer comes any more. */
  viewerGone(): void;
}

/** What the clients of one live query have in common. */
interface Shared {
  readonly receivers: Set<LiveReceiver>;
  /** Receivers that have had no answer. They are sent failures, too. */
  readonly unanswered: Set<LiveReceiver>;
  /** The digest of the last answer, if that shows a failure that is hidden from receivers which have had an answer. */
  failure: string | undefined;
  /**
   * When the current series of failed runs began, or when a failure was last sent to all receivers, by
   * `performance.now()`. Undefined while runs do not fail.
   */
  failingSinceMs: number | undefined;
}

/** Failures of the server. The next run may succeed, so a client that has an answer is not sent these. */
const FAILURES = new Set([INTERNAL, 'REQUEST_TIMEOUT', 'QUERY_TIMEOUT', 'CACHE_UNAVAILABLE', 'CLIENT_CLOSED_REQUEST']);
/** How long these are hidden from clients that have an answer. Then all are sent one with its errors, as by POST. */
const HIDDEN_MS = 30 * SECOND;
const NO_FAILURE = { failure: undefined, failingSinceMs: undefined } as const;

export interface LiveRunsOptions {
  readonly queries: LiveQueries;
  readonly answers: QueryAnswers;
  /** Absent: no rate limits. */
  readonly rateLimits?: RateLimits | undefined;
}

export class LiveRuns {
  readonly #options: LiveRunsOptions;
  readonly #shared = new Map<string, Shared>();
  readonly #patches = new Patches();
  readonly #points: LivePoints;
  readonly #spans = runSpans();

  constructor(options: LiveRunsOptions) {
    this.#options = options;
    this.#points = new LivePoints(options.rateLimits);
  }

  /**
   * Gives the receiver all answers from here on, the first one even if it shows a failure.
   * @throws TOO_MANY_SUBSCRIPTIONS
   */
  join(query: AcceptedQuery & { readonly live: LiveArguments }, receiver: LiveReceiver): LiveMembership {
    const key = keyOf(query);
    const shared = this.#shared.get(key) ?? { receivers: new Set(), unanswered: new Set(), ...NO_FAILURE };
    const source = {
      key,
      viewer: query.identity.userId,
      throttleMs: query.live.throttleMs,
      run: (run: LiveRun) => {
        const work = () => this.#run(query, shared, run);
        return this.#spans === undefined ? work() : this.#spans.run(query, run, work);
      },
    };
    const membership = this.#joined(() => this.#options.queries.join(source, this.#clientOf(key, receiver, shared)));
    this.#shared.set(key, shared);
    shared.receivers.add(receiver);
    shared.unanswered.add(receiver);
    return {
      ...membership,
      leave: () => {
        membership.leave();
        shared.receivers.delete(receiver);
        shared.unanswered.delete(receiver);
        if (shared.receivers.size > 0 || this.#shared.get(key) !== shared) return;
        this.#shared.delete(key);
        this.#patches.delete(key);
      },
    };
  }

  /** Gives the receiver the answers that it may be sent: not a failure in place of an answer that it has. */
  #clientOf(key: string, receiver: LiveReceiver, shared: Shared): LiveClient {
    return {
      answered: (answer) => {
        if (!shared.unanswered.delete(receiver) && answer.digest === shared.failure) return;
        receiver.answered(receiver.wantsPatches ? this.#patches.next(key, answer) : answer);
      },
    };
  }

  #joined(join: () => LiveMembership): LiveMembership {
    try {
      return join();
    } catch (error) {
      if (!(error instanceof TooManyLiveQueries)) throw error;
      throw tooManySubscriptions('This process has its maximum of live queries. Try again later.', 503);
    }
  }

  async #run(query: AcceptedQuery, shared: Shared, run: LiveRun): Promise<string> {
    const { answers } = this.#options;
    if (!run.isFirst) await this.#points.payRun(query);
    const answer = await answers.run(query, run);
    const failure = failureIn(answer);
    // Afterwards: the answer may show that the viewer was just deleted.
    await this.#requireUser(query, run, { shared, failure });
    const isHidden = failure !== undefined && !lasts(shared);
    if (isHidden && shared.unanswered.size === 0) throw failure;
    const text = await answers.write(answer);
    if (failure === undefined) Object.assign(shared, NO_FAILURE);
    else shared.failure = isHidden ? digest(text) : undefined;
    // A client that joined has paid for its first answer.
    const isPaid = failure !== undefined || run.isFirst;
    if (!isPaid && !run.isUnchanged(text)) await this.#points.payAnswer(query);
    return text;
  }

  async #requireUser(
    query: AcceptedQuery,
    run: LiveRun,
    { shared, failure }: { readonly shared: Shared; readonly failure: GraphQLError | undefined },
  ): Promise<void> {
    try {
      await this.#options.answers.requireUser(query, run);
    } catch (error) {
      if (isUnauthenticated(causeOf(error))) for (const receiver of [...shared.receivers]) receiver.viewerGone();
      else if (failure !== undefined || shared.unanswered.size > 0) return; // as by POST, which does not check that
      throw error;
    }
  }
}

/** Notes a failure. @returns whether failures have lasted so long that all clients are sent this answer */
function lasts(shared: Shared): boolean {
  const nowMs = performance.now();
  shared.failingSinceMs ??= nowMs;
  if (nowMs - shared.failingSinceMs < HIDDEN_MS) return false;
  shared.failingSinceMs = nowMs; // each failure has an id of its own, so its answer differs from the one before
  return true;
}

/** A key of all that an answer depends on besides data. Queries with equal keys share their runs. */
function keyOf({ operation, identity }: AcceptedQuery): string {
  const { document, operationName = null, variables = {} } = operation;
  const text = document.loc?.source.body ?? '';
  return digest(canonical([identity.userId, [...identity.scopes].sort(), operationName, variables, text]));
}

/** The failure that the answer shows. @throws RunLater if points ran out for work that the query found while it ran */
function failureIn({ result: { errors = [] } }: QueryAnswer): GraphQLError | undefined {
  const later = errors.map(laterIn).find((ms) => ms !== undefined);
  if (later !== undefined) throw new RunLater(later);
  return errors.find((error) => FAILURES.has(publicCode(error)));
}
