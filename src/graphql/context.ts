/** The context that every resolver of a request receives. */

import type { UserId } from '../db/ids.js';
import type { ReadSet, Tag } from '../engine/cache/index.js';
import type { Tracer } from '../engine/graphql/index.js';
import { RequestLoaders } from '../engine/graphql/index.js';
import type { Database, WriteProgress } from '../engine/postgres/index.js';
import type { EventQueue } from './event-queue.js';
import type { RateState } from './rate-state.js';

/** The loaders through which the resolvers of one request read. */
export type Loads = RequestLoaders<Database>;
export const Loads = RequestLoaders<Database>;
/** Makes the loaders of one run of an operation. */
export type MakeLoads = (options: ConstructorParameters<typeof Loads>[0]) => Loads;

/** What a resolver may use besides the read set. No invalidation follows it. */
export interface UncacheableValues {
  /** What the viewer's token permits besides the viewer's own rights. */
  readonly scopes: readonly string[];
  /** The viewer's rate limit after this operation. Absent without a rate limit. */
  readonly rateLimit: RateState | undefined;
}

export interface Context {
  readonly requestId: string;
  /** Set before any resolver runs. Without a viewer only introspection is answered. */
  readonly viewerId: UserId;
  /**
   * What this request has read from the cache; its answer can be cached as long as all of that is valid. A resolver
   * that uses anything else must prevent that: by `markUncacheable`, or for the time by `limitAnswerTtl`. Absent: the
   * answer is not cached.
   */
  readonly readSet?: ReadSet | undefined;
  readonly tracer: Tracer;
  /** Whether everything in the answer must be from one moment of the database. */
  readonly snapshot: boolean;
  /** Aborts when the client no longer waits for the answer. Absent: the client always waits. */
  readonly signal?: AbortSignal | undefined;
  /** The progress of the request's writes. */
  readonly writes?: WriteProgress | undefined;
  readonly loaders: Loads;
  /** Excludes the answer from the cache. @returns the values that may be used from then on */
  markUncacheable(): UncacheableValues;
  /**
   * Charges points for work that shows only while the operation runs. Absent without a rate limit. @throws RATE_LIMITED
   */
  charge?(points: number): Promise<unknown>;
}

/** For resolvers whose value depends on the time: the answer is valid until `untilMs`. */
export function limitAnswerTtl({ readSet }: Context, untilMs: number): void {
  readSet?.dependencies?.endsAt(untilMs);
}

/** The context of a subscription. One serves all its events, which are answered one after the other. */
export interface SubscriptionContext extends Context {
  /**
   * Called before each event, so that later reads are fresh. `direct`: read past the cache, which may not know of the
   * event yet.
   */
  renew(options: { readonly direct: boolean }): void;
  /** Runs `work` when it is the viewer's turn among all subscriptions of the process. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Runs `work`, which must only read, and repeats it while Postgres is unavailable.
   * @throws other errors of `work`, or the last one if the outage continues
   */
  untilAvailable<T>(work: () => Promise<T>): Promise<T>;
  /** A queue of events to send to this client. The connection is closed if it fills up. */
  queue<T>(): EventQueue<T>;
}

/** Records in the trace which tags a write invalidated, and returns the value of the write. */
export function recordInvalidations<T>(context: Context, { value, tags }: { value: T; tags: readonly Tag[] }): T {
  context.tracer.invalidated(tags);
  return value;
}
