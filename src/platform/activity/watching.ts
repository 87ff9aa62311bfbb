/** Gathers the samples of all processes once a second, for those who watch on this one. Lives from the first to the last. */
import { type Cache, LOG_GROUP, type Samples } from '../../engine/cache/index.js';
import { type OutboxSize, outboxSize, type Sql } from '../../engine/postgres/index.js';
import { SECOND } from '../../std/time.js';
import { type ActivityMessage, countsOf, type GroupState, healthOf, type RelayState } from './activity-message.js';
import { everySecond } from './every-second.js';
import { InvalidationFeed } from './invalidation-feed.js';
import type { SeenGroups } from './process-health.js';
import { readSample, type Sample } from './sample.js';

/** How long the other processes go on sending samples after the last request for them. */
const WANTED_MS = 5 * SECOND;
/** A process that has sent nothing for so long is gone. */
const GONE_AFTER_MS = 5 * SECOND;
const MAX_PROCESSES = 100;
/** Samples are made at the start of each second; by now all have arrived. */
const GATHER_OFFSET_MS = 300;
const OUTBOX_EVERY_MS = 5 * SECOND;

export interface WatchingOptions {
  /** The id of this process. */
  readonly process: string;
  readonly cache: Cache;
  /** On a connection apart from those of requests. */
  readonly sql: () => Sql;
  readonly groups: () => SeenGroups | undefined;
  /** Samples of this process since the last call. */
  readonly ownSamples: () => readonly Sample[];
  readonly tell: (message: ActivityMessage) => void;
}

interface Known {
  readonly sample: Sample;
  readonly heardMs: number;
}

export class Watching {
  readonly #options: WatchingOptions;
  readonly #samples: Samples;
  readonly #feed: InvalidationFeed;
  readonly #stop: () => void;
  readonly #processes = new Map<string, Known>();
  #mark: string | undefined;
  #outbox: OutboxSize | undefined;
  #outboxAtMs = Number.NEGATIVE_INFINITY;
  #toldMs = performance.now();
  /** Of the clock. */
  readonly #beganInSecond = Math.floor(Date.now() / SECOND);
  #gathering = false;
  #stopped = false;

  constructor(options: WatchingOptions) {
    this.#options = options;
    const { cache, sql } = options;
    this.#samples = cache.store.samples;
    this.#feed = new InvalidationFeed({ store: cache.store, memory: cache.memory, sql });
    this.#stop = everySecond(GATHER_OFFSET_MS, () => void this.#gather());
    void this.#received();
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
    this.#feed.close();
  }

  async #gather(): Promise<void> {
    // The first sample of this process is made at the start of the next second: a message before would show none.
    if (Math.floor(Date.now() / SECOND) === this.#beganInSecond) return;
    if (this.#gathering) return; // what is missed now comes with the next message
    this.#gathering = true;
    try {
      void this.#measureOutbox();
      const [others, invalidated] = await Promise.all([this.#received(), this.#feed.take()]);
      if (this.#stopped) return;
      const samples = [...this.#options.ownSamples(), ...others];
      const nowMs = performance.now();
      for (const sample of samples) this.#processes.set(sample.process.id, { sample, heardMs: nowMs });
      this.#forgetGone(nowMs);
      this.#options.tell({ ...this.#message(samples, nowMs), ...invalidated });
      this.#toldMs = nowMs;
    } finally {
      this.#gathering = false;
    }
  }

  /** The new samples of other processes, and asks for more. Without the store there are none. */
  async #received(): Promise<Sample[]> {
    const [slice] = await Promise.all([
      this.#samples.since(this.#mark).catch(() => undefined),
      this.#samples.want(WANTED_MS).catch(() => {}),
    ]);
    if (slice === undefined) return [];
    this.#mark = slice.mark;
    return slice.texts.flatMap((text) => {
      const sample = readSample(text);
      return sample === undefined || sample.process.id === this.#options.process ? [] : [sample];
    });
  }

  #forgetGone(nowMs: number): void {
    for (const [id, { heardMs }] of this.#processes) {
      if (nowMs - heardMs > GONE_AFTER_MS || this.#processes.size > MAX_PROCESSES) this.#processes.delete(id);
    }
  }

  #message(samples: readonly Sample[], nowMs: number): Omit<ActivityMessage, 'invalidations' | 'invalidationsOmitted'> {
    const latest = [...this.#processes.values()].map(({ sample }) => sample);
    return {
      at: new Date(),
      intervalMs: Math.round(nowMs - this.#toldMs),
      process: this.#options.process,
      processes: latest
        .map(({ process: { startedAtMs, ...own }, gauges }) => ({
          ...own,
          startedAt: new Date(startedAtMs),
          ...gauges,
        }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
      ...countsOf(samples),
      groups: this.#groups(nowMs),
      relay: this.#relay(latest),
      health: {
        ...healthOf(latest, samples),
        outboxRows: this.#outbox?.rows ?? null,
        outboxBytes: this.#outbox?.bytes ?? null,
      },
    };
  }

  #groups(nowMs: number): GroupState[] {
    const seen = this.#options.groups();
    if (seen === undefined || nowMs - seen.atMs > GONE_AFTER_MS) return [];
    return seen.heads.map(({ group, head }) => ({
      index: group,
      name: this.#options.cache.store.inspection.groupName(group),
      leaseLeftMs: Math.max(0, Math.round(head.leaseLeftMs - (nowMs - seen.atMs))),
      position: head.position === undefined ? null : String(head.position.xid),
      purge: head.position?.purge ?? null,
      refusal: head.refusal ?? null,
    }));
  }

  #relay(latest: readonly Sample[]): RelayState {
    const home = this.#options.groups()?.heads.find(({ group }) => group === LOG_GROUP)?.head;
    const position = home?.position === undefined ? null : String(home.position.xid);
    let last: { readonly process: string; readonly atMs: number; readonly lagTransactions: number } | undefined;
    for (const { process, relay } of latest) {
      const { appliedAtMs: atMs, lagTransactions } = relay;
      if (atMs !== undefined && (last === undefined || atMs > last.atMs)) {
        last = { process: process.id, atMs, lagTransactions };
      }
    }
    return {
      process: last?.process ?? null,
      appliedAt: last === undefined ? null : new Date(last.atMs),
      position,
      lagTransactions: last?.lagTransactions ?? 0,
      lagMs: last === undefined ? 0 : Math.max(0, Date.now() - last.atMs),
    };
  }

  /** Not awaited: messages have the last size it found. */
  async #measureOutbox(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#outboxAtMs < OUTBOX_EVERY_MS) return;
    this.#outboxAtMs = nowMs;
    this.#outbox = await outboxSize(this.#options.sql()).catch(() => undefined);
  }
}
