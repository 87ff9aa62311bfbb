/** What every resolver of a request gets. */

import type { UserId } from '../db/ids.js';
import type { ReadSet, Tag } from '../engine/cache/index.js';
import type { Tracer } from '../engine/graphql/index.js';
import { RequestLoaders } from '../engine/graphql/index.js';
import type { Database, WriteProgress } from '../engine/postgres/index.js';
import type { EventQueue } from './event-queue.js';
import type { RateState } from './rate-state.js';

/** What the resolvers of one request read through. */
export type Loads = RequestLoaders<Database>;
export const Loads = RequestLoaders<Database>;

export interface Context {
  readonly requestId: string;
  /** Who asks. Set before any resolver runs; without one only introspection is answered. */
  readonly viewerId: UserId;
  /**
   * What a query of this request is given by the cache. Its answer may be kept as long as that holds; a resolver that tells something else
   * (by `scopes`, `db`, `rateLimit`, each of which says so itself; by the time: `answerEndsAt`) must not let it. Absent: nothing is kept.
   */
  readonly readSet?: ReadSet | undefined;
  /** What the viewer's token is good for besides the viewer's own rights. */
  readonly scopes: readonly string[];
  readonly db: Database;
  readonly tracer: Tracer;
  /** A query's answer shall be the database of one moment. */
  readonly snapshot: boolean;
  /** What the operation costs; set with it. */
  cost: number;
  /** Aborts when nobody waits for the answer any more. Absent: somebody always does. */
  readonly signal?: AbortSignal | undefined;
  /** What has become of the request's writes. */
  readonly writes?: WriteProgress | undefined;
  /** Set when the operation is known. */
  loaders: Loads;
  /** Set when the operation is paid for, where there is a limit. */
  rateLimitState?: RateState;
  /** The same, for resolvers. */
  readonly rateLimit?: RateState | undefined;
  /** Charges the viewer for what only shows while the operation runs. @throws RATE_LIMITED. Absent where it is not counted. */
  charge?(points: number): Promise<unknown>;
  /** Called when a query was answered without an error. */
  markCacheable?(): void;
}

/** For resolvers that tell of the time: what they say is true until then. */
export function limitAnswerTtl({ readSet }: Context, untilMs: number): void {
  readSet?.dependencies?.endsAt(untilMs);
}

/** What a subscription gets: one for all its events, which are answered one after the other. */
export interface SubscriptionContext extends Context {
  /** Before each event: what is read from now on is read anew. `direct`: past the cache, which may not know of the event yet. */
  renew(options: { readonly direct: boolean }): void;
  /** Runs `work` when it is the viewer's turn among all subscriptions of the process. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** Runs `work`, which only reads, and again while Postgres is away. @throws what it fails with otherwise, or when that lasts for long */
  untilAvailable<T>(work: () => Promise<T>): Promise<T>;
  /** For what waits to be sent to this client. When it fills, the client's connection is closed. */
  queue<T>(): EventQueue<T>;
}

/** Tells the trace what a write invalidated and hands on its value. */
export function recordInvalidations<T>(context: Context, { value, tags }: { value: T; tags: readonly Tag[] }): T {
  context.tracer.invalidated(tags);
  return value;
}
