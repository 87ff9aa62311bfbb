/** The context of a request over HTTP. Its answer may be kept while all that its read set was given holds: whoever reads more says so. */

import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { UserId } from '../db/ids.js';
import type { Cache, ReadSet } from '../engine/cache/index.js';
import type { Tracer } from '../engine/graphql/index.js';
import type { MainDatabase, WriteProgress } from '../engine/postgres/index.js';
import type { Context } from '../graphql/context.js';
import { Loads } from '../graphql/context.js';
import type { Identity } from '../graphql/identity.js';
import type { RateState } from '../graphql/rate-state.js';
import type { RateLimits } from './rate-limit/rate-limit.js';
import { pointsFor } from './rate-limit/rate-limit.js';

/** What is known of a request before it is admitted. */
export interface IncomingRequest {
  readonly headers: IncomingHttpHeaders;
  readonly address: string;
  /** Absent: it begins after the request is admitted. */
  readonly readSet?: ReadSet;
}

/** A request before its body is read. */
export interface Admitted {
  readonly identity: Identity | undefined;
  /** Who pays: see rate-limit.ts. */
  readonly caller: string;
}

/** A request before its operation is known. */
export interface AdmittedRequest extends Admitted {
  readonly readSet: ReadSet;
  /** Set when its document was found invalid. */
  invalidDocument?: boolean;
  /** Set when its operation is known. */
  isMutation?: boolean;
  /** What it cost; set when it was a query and is answered without an error. */
  answeredFor?: number;
}

interface ContextDeps {
  readonly cache: Cache;
  readonly db: MainDatabase;
  readonly tracer: Tracer;
  readonly snapshot: boolean;
  readonly signal: AbortSignal;
  readonly writes: WriteProgress;
  readonly rateLimits?: RateLimits | undefined;
}

/** Apollo hands a shallow copy to everybody: what is private here is so by word alone, and what must reach the request is in `opened`. */
export class RequestContext implements Context {
  readonly requestId = randomUUID();
  readonly tracer: Tracer;
  readonly snapshot: boolean;
  readonly signal: AbortSignal;
  readonly writes: WriteProgress;
  /** Read only after the gate has seen an identity. */
  readonly viewerId: UserId;
  cost = 0;
  /** The cost, where computing it waits for a turn of the event loop. */
  costing: Promise<number> | undefined;
  rateLimitState?: RateState;
  loaders: Loads;

  constructor(
    readonly opened: AdmittedRequest,
    private readonly given: ContextDeps,
  ) {
    const { cache, db, tracer, snapshot, signal, writes } = given;
    this.tracer = tracer;
    this.snapshot = snapshot;
    this.signal = signal;
    this.writes = writes;
    this.viewerId = opened.identity?.userId ?? ('' as UserId);
    // Fields under a mutation are read from Postgres: they show its outcome, and nothing of it is remembered. Queries get their own.
    this.loaders = new Loads({ cache, db, viewer: this.viewerId, bypass: 'mutation', tracer, signal });
  }

  get readSet(): ReadSet {
    return this.opened.readSet;
  }

  get scopes(): readonly string[] {
    return elsewhere(this.readSet, this.opened.identity?.scopes ?? []);
  }

  get db(): MainDatabase {
    return elsewhere(this.readSet, this.given.db);
  }

  get rateLimit(): RateState | undefined {
    return elsewhere(this.readSet, this.rateLimitState);
  }

  async charge(points: number): Promise<void> {
    await this.given.rateLimits?.consume(this.opened.caller, pointsFor(points));
  }

  markCacheable(): void {
    this.opened.answeredFor = this.cost;
  }
}

/** What is not of the read set: an answer that may tell of it is not kept. */
function elsewhere<T>(readSet: ReadSet, value: T): T {
  readSet.markUncacheable();
  return value;
}
