/** The context of a request over HTTP. Its answer may be kept while all that its session was given holds: whoever reads more says so. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Cache, Session } from '../cache/index.js';
import type { MainDatabase } from '../db/database.js';
import type { UserId } from '../db/ids.js';
import type { WriteProgress } from '../db/write-progress.js';
import type { Tracer } from './cache-trace.js';
import type { Context } from './context.js';
import { Loads } from './loads.js';
import { pointsFor, type RateLimits, type RateState } from './rate-limit.js';
import type { Identity } from './server.js';

/** What is known of a request before it is admitted. */
export interface Asker {
  readonly headers: IncomingHttpHeaders;
  readonly address: string;
  /** Absent: it begins after the request is admitted. */
  readonly session?: Session;
}

/** A request before its body is read. */
export interface Admitted {
  readonly identity: Identity | undefined;
  /** Who pays: see rate-limit.ts. */
  readonly caller: string;
}

/** A request before its operation is known. */
export interface Opened extends Admitted {
  readonly session: Session;
  /** Set when its document was found invalid. */
  invalidDocument?: boolean;
  /** Set when its operation is known. */
  isMutation?: boolean;
  /** What it cost; set when it was a query and is answered without an error. */
  answeredFor?: number;
}

interface Given {
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
  paid?: RateState;
  loads: Loads;

  constructor(
    readonly opened: Opened,
    private readonly given: Given,
  ) {
    const { cache, db, tracer, snapshot, signal, writes } = given;
    this.tracer = tracer;
    this.snapshot = snapshot;
    this.signal = signal;
    this.writes = writes;
    this.viewerId = opened.identity?.userId ?? ('' as UserId);
    // Fields under a mutation are read from Postgres: they show its outcome, and nothing of it is remembered. Queries get their own.
    this.loads = new Loads({ cache, db, viewer: this.viewerId, bypass: 'mutation', tracer, signal });
  }

  get session(): Session {
    return this.opened.session;
  }

  get scopes(): readonly string[] {
    return elsewhere(this.session, this.opened.identity?.scopes ?? []);
  }

  get db(): MainDatabase {
    return elsewhere(this.session, this.given.db);
  }

  get rateLimit(): RateState | undefined {
    return elsewhere(this.session, this.paid);
  }

  async charge(points: number): Promise<void> {
    await this.given.rateLimits?.spend(this.opened.caller, pointsFor(points));
  }

  answered(): void {
    this.opened.answeredFor = this.cost;
  }
}

/** What is not of the session: an answer that may tell of it is not kept. */
function elsewhere<T>(session: Session, value: T): T {
  session.loseGround();
  return value;
}
