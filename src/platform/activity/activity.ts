/**
 * What the processes are doing, for watchers. Without a watcher, a process counts only what rarely happens, and
 * sends nothing: HEAD, which its relay sends in any case, says when samples are wanted. Then it counts requests and
 * cached calls, and gives the store a sample a second.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type Cache, type GroupHead, LOG_GROUP, type Outcome, type Store } from '../../engine/cache/index.js';
import type { PoolState, Sql } from '../../engine/postgres/index.js';
import { SECOND } from '../../std/time.js';
import { type Metrics, NOTHING_OPEN } from '../metrics.js';
import type { ActivityMessage } from './activity-message.js';
import { everySecond } from './every-second.js';
import { IntervalCounts, Ring } from './interval-counts.js';
import { type HealthEvents, ProcessHealth } from './process-health.js';
import { type Gauges, MAX_POLICIES, type MissSample, type ProcessIdentity, type Sample, sampleText } from './sample.js';
import { Watching } from './watching.js';

/** How long samples are sent after the last tick that said they are wanted. */
const WANTED_MS = 3 * SECOND;
/** Kept for each policy. */
const MAX_LAST_MISSES = 20;
/** Samples of this process between two messages. */
const MAX_OWN_SAMPLES = 5;

export interface ActivityOptions {
  readonly version: string;
  readonly cache: () => Cache;
  readonly pools: () => Readonly<Record<'read' | 'write', PoolState>>;
  readonly maxLoads: number;
  /** On a connection apart from those of requests. */
  readonly sql: () => Sql;
}

type Watcher = (message: ActivityMessage) => void;

export class Activity {
  readonly #options: ActivityOptions;
  readonly #process: ProcessIdentity;
  readonly #health = new ProcessHealth((heads) => this.#onTick(heads));
  readonly #watchers = new Set<Watcher>();
  #watching: Watching | undefined;
  #ownSamples: Sample[] = [];
  #wantedUntilMs = 0;
  #counts: IntervalCounts | undefined;
  #countedFrom = { ms: 0, roundTrips: 0, reads: 0 };
  #stopSampling: (() => void) | undefined;
  /** Bounded by MAX_POLICIES. */
  #lastMisses = new Map<string, Ring<MissSample>>();
  #openConnections = () => NOTHING_OPEN;
  #closed = false;

  constructor(options: ActivityOptions) {
    this.#options = options;
    const startedAtMs = Math.round(Date.now() - performance.now());
    this.#process = {
      ...{ id: randomUUID(), host: hostname(), pid: process.pid, version: options.version, startedAtMs },
    };
  }

  get processId(): string {
    return this.#process.id;
  }

  /** To be called with these events, whether somebody watches or not. */
  get events(): HealthEvents {
    return this.#health.events;
  }

  /** Called for each cached call. */
  outcome(outcome: Outcome): void {
    this.#counts?.outcome(outcome);
  }

  /** Called for each statement of requests and loads. */
  statement(): void {
    if (this.#counts !== undefined) this.#counts.sqlStatements++;
  }

  /** These metrics, of which some are counted here, too. */
  around(metrics: Metrics): Metrics {
    const { requests } = metrics;
    return {
      ...metrics,
      requests: {
        ...requests,
        answered: (request) => {
          requests.answered(request);
          this.#counts?.answered(request);
        },
        rateLimited: (limit) => {
          requests.rateLimited(limit);
          if (this.#counts !== undefined) this.#counts.rateLimited++;
        },
      },
      watchConnections: (open) => {
        metrics.watchConnections(open);
        this.#openConnections = open;
      },
    };
  }

  /** Calls `watcher` about once a second with the activity of all processes. @returns what ends it */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    if (!this.#closed) {
      this.#begin();
      this.#watching ??= this.#beginWatching();
    }
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#endWatching();
    };
  }

  /** The last misses of a policy on this process since somebody began to watch, newest first. */
  lastMisses(policy: string): readonly MissSample[] {
    return [...(this.#lastMisses.get(policy)?.items ?? [])].reverse();
  }

  close(): void {
    this.#closed = true;
    this.#endWatching();
    this.#end();
  }

  #beginWatching(): Watching {
    const { cache, sql } = this.#options;
    return new Watching({
      process: this.#process.id,
      cache: cache(),
      sql,
      groups: () => this.#health.groups,
      ownSamples: () => this.#ownSamples.splice(0),
      tell: (message) => {
        for (const watcher of this.#watchers) watcher(message);
      },
    });
  }

  #endWatching(): void {
    this.#watching?.stop();
    this.#watching = undefined;
    this.#ownSamples = [];
  }

  #onTick(heads: readonly GroupHead[]): void {
    const wanted = heads.some(({ group, head }) => group === LOG_GROUP && head.samplesWanted === true);
    if (!wanted || this.#closed) return;
    this.#wantedUntilMs = performance.now() + WANTED_MS;
    this.#begin();
  }

  #begin(): void {
    if (this.#stopSampling !== undefined) return;
    this.#lastMisses = new Map();
    this.#countAfresh();
    this.#stopSampling = everySecond(0, () => this.#sample());
  }

  #end(): void {
    this.#stopSampling?.();
    this.#stopSampling = undefined;
    this.#counts = undefined;
  }

  #countAfresh(): void {
    const cache = this.#options.cache();
    this.#counts = new IntervalCounts((miss) => this.#noteMiss(miss));
    const { storeReads: reads } = cache.state;
    this.#countedFrom = { ms: performance.now(), roundTrips: roundTripsOf(cache.store), reads };
  }

  #noteMiss(miss: MissSample): void {
    let ring = this.#lastMisses.get(miss.policy);
    if (ring === undefined) {
      if (this.#lastMisses.size >= MAX_POLICIES) return;
      ring = new Ring(MAX_LAST_MISSES);
      this.#lastMisses.set(miss.policy, ring);
    }
    ring.put(miss);
  }

  #sample(): void {
    const watched = this.#watching !== undefined;
    if (!watched && performance.now() > this.#wantedUntilMs) {
      this.#end();
      return;
    }
    const sample = this.#take(this.#counts as IntervalCounts); // it counts while it samples
    this.#countAfresh();
    if (watched && this.#ownSamples.length < MAX_OWN_SAMPLES) this.#ownSamples.push(sample);
    const { store } = this.#options.cache();
    store.samples.add(sampleText(sample)).catch(() => {}); // then others see less
  }

  #take(counts: IntervalCounts): Sample {
    const { store, state } = this.#options.cache();
    const { ms, roundTrips, reads } = this.#countedFrom;
    const { outageReason, openBreakers } = store.inspection;
    const { sqlStatements, sqlStatementsSaved, operations, policies, misses, rateLimited, rateLimitedCallers } = counts;
    return {
      process: this.#process,
      atMs: Date.now(),
      intervalMs: Math.round(performance.now() - ms),
      gauges: this.#gauges(),
      work: {
        sqlStatements,
        sqlStatementsSaved,
        redisRoundTrips: roundTripsOf(store) - roundTrips,
        redisReads: store.connections === undefined ? 0 : state.storeReads - reads,
      },
      operations,
      policies,
      misses,
      health: {
        ...this.#health.totals,
        ...{ outageMs: store.outageMs(), outageReason, breakersOpen: openBreakers, rateLimited, rateLimitedCallers },
      },
      relay: this.#health.relay,
    };
  }

  #gauges(): Gauges {
    const { cache, pools, maxLoads } = this.#options;
    const { near, loads } = cache().state;
    const { read, write } = pools();
    return {
      memoryEntries: near?.entries ?? 0,
      memoryBytes: near?.bytes ?? 0,
      memoryMaxBytes: cache().memory.maxBytes,
      heapBytes: process.memoryUsage().heapUsed,
      loadsRunning: loads.running,
      loadsWaiting: loads.waiting,
      maxLoads,
      readsRunning: read.inUse,
      readsWaiting: read.waiting,
      maxReads: read.size,
      writesRunning: write.inUse,
      writesWaiting: write.waiting,
      maxWrites: write.size,
      subscriptions: this.#openConnections().subscriptions,
    };
  }
}

/** Round trips to Redis so far. 0 without Redis. */
function roundTripsOf({ connections }: Store): number {
  return [...(connections?.trips.values() ?? [])].reduce((sum, trips) => sum + (trips.cumulative.at(-1) ?? 0), 0);
}
