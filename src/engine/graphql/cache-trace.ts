/**
 * `extensions.cache`: what the cache did for one request, sent when the request has `x-cache-trace: 1`. The async
 * context carries the request's tracer and the field being resolved to the places that record outcomes and statements.
 * Requests without a trace pay nothing for it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type GraphQLResolveInfo, responsePathAsArray } from 'graphql';
import {
  canonical,
  type Key,
  type Outcome,
  type OutcomeKind,
  type OutcomeReason,
  type RoundTrip,
  type Tag,
  type WriteStep,
} from '../cache/index.js';
import { SECOND } from '../cache/time.js';

/** Longer traces are cut: a request of many thousand fields must not double its response. */
const MAX_CALLS = 1000;
const MAX_TRIPS = 200;
const MAX_STATEMENTS = 200;
const MAX_WRITE_STEPS = 200;
const MAX_STATEMENT_CHARS = 4000;
/** Trips that may still be asked for. Their calls are told in the same event-loop tick. */
const RECENT_TRIPS = 256;

export interface TracedCall {
  readonly path: readonly (string | number)[] | null;
  /** The coordinate of the field, `Task.assignee`. */
  readonly coordinate: string | null;
  /** The name of the cached source or method behind it, `User`. */
  readonly name: string;
  readonly outcome: OutcomeKind;
  readonly reason?: OutcomeReason;
  readonly tags: readonly Tag[];
  readonly ageMs?: number;
  readonly ttlLeftMs?: number;
  readonly bytes?: number;
  /** When the call was made, ms since the trace began. */
  readonly startMs: number;
  readonly ms: number;
  /** Numbers of the trips in `redis` that it took part in. */
  readonly roundTrips: readonly number[];
  /** Absent when the cache was bypassed. */
  readonly key?: Key;
}

/** A READ that calls of this request took part in. Other requests may share it. */
export interface TracedTrip {
  readonly trip: number;
  readonly startMs: number;
  readonly ms: number;
  /** Entries and tokens that were asked for. */
  readonly keys: number;
  readonly tags: number;
}

/** A statement that has ended. One that several requests share belongs to the one that began it. */
export interface TracedStatement {
  /** With `$1` for the first value. */
  readonly text: string;
  readonly startMs: number;
  readonly ms: number;
}

/** What a mutation's write does in Redis: FENCE before its COMMIT, RELEASE after it. */
export interface TracedWriteStep {
  readonly step: WriteStep['step'];
  readonly startMs: number;
  /** Null: it had not ended when the answer was made. A release is not awaited. */
  readonly ms: number | null;
  readonly tags: number;
}

export interface CacheTrace {
  readonly calls: readonly TracedCall[];
  readonly totals: { readonly redisRoundTrips: number; readonly sqlStatements: number; readonly ms: number };
  /** At most 200, like `sql` and `writes`. */
  readonly redis: readonly TracedTrip[];
  readonly sql: readonly TracedStatement[];
  /** Absent: nothing was fenced. */
  readonly writes?: readonly TracedWriteStep[];
  /** The tags that a mutation invalidated. */
  readonly invalidated?: readonly Tag[];
}

/** A recorded call, with details that only other formats of the trace show. */
export interface NotedCall {
  readonly call: TracedCall;
  readonly arg?: unknown;
  readonly info: GraphQLResolveInfo | undefined;
}

interface Place {
  readonly tracer: Tracer;
  readonly info: GraphQLResolveInfo | undefined;
}

const here = new AsyncLocalStorage<Place>();
/**
 * How long after the last traced field promises are still followed: before Node 24 an enabled AsyncLocalStorage slows
 * all of them.
 */
const FOLLOWED_MS = 30 * SECOND;
let unfollowing: NodeJS.Timeout | undefined;

function follow(place: Place): void {
  here.enterWith(place);
  unfollowing ??= setTimeout(() => here.disable(), FOLLOWED_MS).unref();
  unfollowing.refresh();
}

const recentTrips: RoundTrip[] = [];
/** Where the events of the cache are not handed to `Tracer.roundTrip`. */
const UNKNOWN_TRIP: RoundTrip = { number: 0, startedMs: 0, ms: 0, keys: 0, tags: 0 };

/** A request's tracer. A disabled one records nothing. */
export class Tracer {
  readonly #startedMs = performance.now();
  readonly #noted: NotedCall[] = [];
  /** By the number that the cache gave them. */
  readonly #roundTrips = new Map<number, TracedTrip>();
  readonly #sql: TracedStatement[] = [];
  readonly #writeSteps: WriteStep[] = [];
  readonly #invalidated = new Set<Tag>();
  /**
   * The field that asked first, by source and argument: a batch runs in the async context of only one of its callers.
   */
  readonly #askers = new Map<string, GraphQLResolveInfo | undefined>();
  #statements = 0;

  constructor(readonly enabled: boolean) {}

  /** From now on, in this async context, records belong to this field. */
  enter(info?: GraphQLResolveInfo): void {
    if (this.enabled) follow({ tracer: this, info });
  }

  /** Records that the current field reads a value of a source, which a batch loads. */
  asks(name: string, arg: unknown): void {
    if (!this.enabled) return;
    const key = `${name} ${argumentKey(arg)}`;
    if (!this.#askers.has(key)) this.#askers.set(key, here.getStore()?.info);
  }

  bypassed(name: string, reason: OutcomeReason): void {
    if (!this.enabled) return;
    const info = here.getStore()?.info;
    const startMs = this.#sinceStart(performance.now());
    const call: TracedCall = {
      ...{ ...fieldOf(info), name, outcome: 'bypass', reason, tags: [], startMs, ms: 0, roundTrips: [] },
    };
    this.#note({ call, info });
  }

  invalidated(tags: readonly Tag[]): void {
    if (!this.enabled) return; // one such tracer serves all requests that are not traced
    for (const tag of tags) this.#invalidated.add(tag);
  }

  get noted(): readonly NotedCall[] {
    return this.#noted;
  }

  report(): CacheTrace {
    return {
      calls: this.#noted.map(({ call }) => call),
      totals: {
        redisRoundTrips: this.#roundTrips.size,
        sqlStatements: this.#statements,
        ms: round(performance.now() - this.#startedMs),
      },
      redis: [...this.#roundTrips.values()].slice(0, MAX_TRIPS),
      sql: [...this.#sql].sort((a, b) => a.startMs - b.startMs),
      ...(this.#writeSteps.length > 0 && { writes: this.#writeSteps.map((step) => this.#written(step)) }),
      ...(this.#invalidated.size > 0 && { invalidated: [...this.#invalidated] }),
    };
  }

  /** Runs for every outcome of the engine, in the async context of the call. */
  static outcome(outcome: Outcome): void {
    const tracer = here.getStore()?.tracer;
    if (tracer === undefined) return;
    const roundTrips = outcome.roundTrips.map((number) => tracer.#tripOf(number));
    const { name, arg, key, kind, reason, tags, ageMs, ttlLeftMs, chars, ms } = outcome;
    const info = tracer.#askers.get(`${name} ${argumentKey(arg)}`) ?? here.getStore()?.info;
    const call: TracedCall = {
      ...fieldOf(info),
      name,
      outcome: kind,
      ...(reason !== undefined && { reason }),
      tags,
      ...(ageMs !== undefined && { ageMs }),
      ...(ttlLeftMs !== undefined && { ttlLeftMs }),
      ...(chars !== undefined && { bytes: chars }),
      startMs: tracer.#sinceStart(performance.now() - ms),
      ms: round(ms),
      roundTrips,
      key,
    };
    tracer.#note({ call, arg, info });
  }

  /** Runs for every READ, before the outcomes of its calls. */
  static roundTrip(trip: RoundTrip): void {
    recentTrips[trip.number % RECENT_TRIPS] = trip;
  }

  /** Called for every write that has ended, in the async context of its caller. */
  static wrote(tags: readonly Tag[]): void {
    here.getStore()?.tracer.invalidated(tags);
  }

  /** Called for every step of a write that begins, in the async context of the write. */
  static writeStep(step: WriteStep): void {
    const tracer = here.getStore()?.tracer;
    if (tracer !== undefined && tracer.#writeSteps.length < MAX_WRITE_STEPS) tracer.#writeSteps.push(step);
  }

  /** Called for every SQL statement, in the async context that issued it. */
  static statement(): void {
    const place = here.getStore();
    if (place !== undefined) place.tracer.#statements++;
  }

  /** Whether statements of this async context are traced. */
  static get tracing(): boolean {
    return here.getStore() !== undefined;
  }

  /** Called in the same async context when a statement has ended. `startedMs`: by `performance.now()`. */
  static statementEnded(given: string, startedMs: number): void {
    const tracer = here.getStore()?.tracer;
    if (tracer === undefined || tracer.#sql.length >= MAX_STATEMENTS) return;
    const text = given.length > MAX_STATEMENT_CHARS ? `${given.slice(0, MAX_STATEMENT_CHARS - 1)}…` : given;
    tracer.#sql.push({ text, startMs: tracer.#sinceStart(startedMs), ms: round(performance.now() - startedMs) });
  }

  /** The number of a trip in this trace, from 1. */
  #tripOf(number: number): number {
    const known = this.#roundTrips.get(number);
    if (known !== undefined) return known.trip;
    const { startedMs, ms, keys, tags } = recentTrips[number % RECENT_TRIPS] ?? UNKNOWN_TRIP;
    const trip = this.#roundTrips.size + 1;
    this.#roundTrips.set(number, { trip, startMs: this.#sinceStart(startedMs), ms: round(ms), keys, tags });
    return trip;
  }

  #written({ step, startedMs, ms, tags }: WriteStep): TracedWriteStep {
    return { step, startMs: this.#sinceStart(startedMs), ms: ms === undefined ? null : round(ms), tags };
  }

  #sinceStart(ms: number): number {
    return Math.max(0, round(ms - this.#startedMs));
  }

  #note(call: NotedCall): void {
    if (this.#noted.length < MAX_CALLS) this.#noted.push(call);
  }
}

/** Equal arguments of a source have equal texts. */
export function argumentKey(arg: unknown): string {
  return typeof arg === 'string' ? arg : canonical(arg);
}

function fieldOf(info: GraphQLResolveInfo | undefined): Pick<TracedCall, 'path' | 'coordinate'> {
  if (info === undefined) return { path: null, coordinate: null };
  return { path: responsePathAsArray(info.path), coordinate: `${info.parentType.name}.${info.fieldName}` };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
