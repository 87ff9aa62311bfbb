/** What the runner and an API process say to each other. */
import type { SubscriptionLimits } from '../../src/platform/subscription-limits.js';
import type { TokenOptions } from '../../src/server/auth/tokens.js';

export interface ApiOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly tokens: TokenOptions;
  /** 0: nothing is kept in process memory. */
  readonly nearCacheBytes: number;
  readonly maxLoads: number;
  /** Absent: as in production by default. */
  readonly subscriptionLimits?: SubscriptionLimits;
}

/** Since the process began; memory as it is now, after a collection of what is no longer used. */
export interface Usage {
  /** User and system, all threads. */
  readonly cpuMs: number;
  /** The heap, and what lies outside of it. */
  readonly memoryBytes: number;
}

/** Since the process began. */
export interface Counts {
  /** Statements of requests; the relay's are not among them. */
  readonly statements: number;
  /** Of these, rows of `tasks` by id, as the source Task loads them. */
  readonly taskSelects: number;
  /** Cached calls by `name kind reason`. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Commits without a fence. */
  readonly unfenced: number;
  /** Most loads that ever ran at once. */
  readonly loadsPeak: number;
  /** Where the store failed, by the step and the error. */
  readonly failures: Readonly<Record<string, number>>;
  /** The longest that the event loop was not at its turn, ms. */
  readonly stallMs: number;
}

export type FromApi =
  | { readonly kind: 'ready'; readonly port: number }
  | ({ readonly kind: 'usage' } & Usage)
  /** `asked`: the answer to `count`, and not by the clock. `loadsPeak`: most that ran at once since the report before. */
  | { readonly kind: 'counts'; readonly asked: boolean; readonly counts: Counts; readonly loadsPeak: number };

export type ToApi = { readonly kind: 'count' } | { readonly kind: 'usage' };
