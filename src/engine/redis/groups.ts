/**
 * The groups of keys, and how each has been to reach: three connections, a circuit breaker for what readers wait for,
 * and an account of outages for writers. Every call is bounded by `waitMs` and fails at once while there is no
 * connection; a call that ran out of time drops its connection.
 */
import calculateSlot from 'cluster-key-slot';
import type { Cluster, Redis } from 'ioredis';
import { Durations } from '../cache/durations.js';
import { CacheError } from '../cache/errors.js';
import type { Key } from '../cache/key.js';
import { inSpan } from '../cache/spans.js';
import { LOG_GROUP, type StoreConnections } from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import type { Clock } from '../cache/time.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { type Connection, corkForNow, openConnection, type Server } from './connection.js';
import { FAILURE_REASONS, type FailureReason } from './connection-failure.js';
import { lostTogetherMs, Outage, type OutageListener, refusalText, reportedOnce } from './outage.js';
import type { RedisPlace } from './place.js';
import { redisSpan } from './redis-span.js';
import { ServerTooOld } from './server-version.js';
import { TIMED_OUT, withTimeout } from './with-timeout.js';

/**
 * The groups of a Cluster: enough to spread over its shards, few enough that a read stays a handful of round trips in
 * parallel.
 */
const CLUSTER_GROUPS = 16;
const READY_POLL_MS = 5;

/** One group: what its keys share, and how it has been to reach. */
export interface Group {
  readonly index: number;
  readonly hashTag: string;
  readonly breaker: CircuitBreaker;
  readonly outage: Outage;
}

/**
 * What an attempt at each step says about whether Redis takes writes. `fence`, `apply`: what they say themselves.
 * `read`: nothing. `write`: nothing, since some scripts begin with a command that a full server takes, and some writes
 * need rights of their own.
 */
const KINDS = {
  READ: 'read',
  FILL: 'write',
  'LOCK REFRESH': 'write',
  FENCE: 'fence',
  RELEASE: 'write',
  HEAD: 'read',
  APPLY: 'apply',
  'GET TEXT': 'read',
  'SET TEXT': 'write',
  'READ COUNTERS': 'read',
  'ADD COUNTERS': 'write',
  WATCH: 'write',
  'ADD SAMPLE': 'write',
  'READ SAMPLES': 'read',
  INSPECT: 'read',
} as const;
/** A round trip to Redis, by the protocol's name. */
type Step = keyof typeof KINDS;
type Kind = (typeof KINDS)[Step];

/** Steps that no request needs: a user may lack the rights to them. */
const FOR_OPERATORS: ReadonlySet<Step> = new Set<Step>([
  ...(['READ COUNTERS', 'ADD COUNTERS', 'INSPECT'] as const),
  ...(['WATCH', 'ADD SAMPLE', 'READ SAMPLES'] as const),
]);

/** Whether requests cannot be served from a server that refuses the step. */
function serves(step: Step): boolean {
  return KINDS[step] === 'read' && !FOR_OPERATORS.has(step);
}

/** What of a call belongs to one group. */
export interface Part {
  readonly group: Group;
  readonly keys: readonly Key[];
  readonly tags: readonly Tag[];
}

export class Groups {
  readonly all: readonly Group[];
  readonly writer: Connection;
  readonly ticker: Connection;
  readonly #reader: Connection;
  readonly #place: RedisPlace;
  readonly #waitMs: number;
  readonly #clock: Clock;
  readonly #onLimit: (text: string) => void;
  readonly #limits = new Set<string>();
  readonly #reconnects = new Map<FailureReason, number>(FAILURE_REASONS.map((reason) => [reason, 0]));
  readonly #trips = new Map<Kind, Durations>(Object.values(KINDS).map((kind) => [kind, new Durations()]));

  constructor(options: {
    readonly place: RedisPlace;
    readonly group: string;
    readonly waitMs: number;
    readonly clock: Clock;
    readonly onLimit: (text: string) => void;
    readonly onOutage: OutageListener | undefined;
  }) {
    const { place, group, waitMs, clock, onLimit, onOutage } = options;
    this.#place = place;
    this.#waitMs = waitMs;
    this.#clock = clock;
    this.#onLimit = onLimit;
    const names = 'cluster' in place ? Array.from({ length: CLUSTER_GROUPS }, (_, i) => `${group}-${i}`) : [group];
    const outages = reportedOnce(onOutage ?? { began: () => {}, ended: () => {} });
    this.all = names.map((name, index) => ({
      index,
      hashTag: `{${name}}`,
      breaker: new CircuitBreaker(clock),
      outage: new Outage(clock, outages),
    }));
    const onReconnect = (reason: FailureReason) => {
      this.#reconnects.set(reason, (this.#reconnects.get(reason) ?? 0) + 1);
    };
    this.#reader = openConnection(place, { waitMs, onReconnect });
    this.writer = openConnection(place, { waitMs, onReconnect });
    this.ticker = openConnection(place, { waitMs, onReconnect });
  }

  /** See `StoreConnections`. */
  get observed(): StoreConnections {
    return { up: this.#connections.every(this.#leadsToAll), reconnects: this.#reconnects, trips: this.#trips };
  }

  get #connections(): readonly Connection[] {
    return [this.#reader, this.writer, this.ticker];
  }

  readonly #leadsToAll = (connection: Connection): boolean =>
    connection.selected && this.all.every(({ hashTag }) => connection.serverOf(hashTag) !== undefined);

  /** The group that holds the log. */
  get logGroup(): Group {
    return this.at(LOG_GROUP);
  }

  at(index: number): Group {
    return this.all[index] as Group;
  }

  /**
   * Resolves when the store answers, or after `waitMs`: a process may start without Redis.
   * @throws CacheError DATABASE_REFUSED when the server refuses the database that the URL names, SERVER_TOO_OLD
   */
  async ready(): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + this.#waitMs;
    const connections = this.#connections;
    const connected = (connection: Connection) =>
      this.all.every(({ hashTag }) => connection.serverOf(hashTag) !== undefined);
    while (!connections.every(connected) && this.#clock.monotonicMs() < deadlineMs) {
      const refusal = connections.find((connection) => connection.refusal !== undefined)?.refusal;
      if (refusal !== undefined) {
        const code = refusal instanceof ServerTooOld ? 'SERVER_TOO_OLD' : 'DATABASE_REFUSED';
        throw new CacheError(code, refusal.message, { cause: refusal });
      }
      await this.#clock.sleep(READY_POLL_MS);
    }
    await this.#checkEviction();
  }

  /** Some managed servers tell nothing of their memory: then nothing is said. */
  async #checkEviction(): Promise<void> {
    if (this.ticker.serverOf(this.logGroup.hashTag) === undefined) return;
    const info = await withTimeout(this.ticker.client.info('memory'), this.#waitMs).catch(() => '');
    const policy = /maxmemory_policy:(allkeys-\w+)/.exec(info)?.[1];
    if (policy !== undefined)
      this.limited(
        `maxmemory-policy ${policy} may evict fences and positions; expected volatile-lfu or another volatile-*`,
      );
  }

  /** The group of a key, a tag or the name of a text. */
  indexOf(name: string): number {
    return this.all.length === 1 ? LOG_GROUP : calculateSlot(name) % this.all.length;
  }

  /** Keys and tags by group; `besides`: groups that are included in any case. */
  split(asked: { keys: readonly Key[]; tags: readonly Tag[] }, besides: readonly number[] = []): readonly Part[] {
    if (this.all.length === 1) return [{ group: this.logGroup, ...asked }];
    const parts = new Map<number, { group: Group; keys: Key[]; tags: Tag[] }>();
    const partOf = (index: number) => {
      const known = parts.get(index);
      if (known !== undefined) return known;
      const made = { group: this.at(index), keys: [], tags: [] };
      parts.set(index, made);
      return made;
    };
    for (const index of besides) partOf(index);
    for (const key of asked.keys) partOf(this.indexOf(key)).keys.push(key);
    for (const tag of asked.tags) partOf(this.indexOf(tag)).tags.push(tag);
    return [...parts.values()];
  }

  /** See `Store.outageMs`. */
  outageMs(tags?: readonly Tag[]): number {
    if (tags === undefined) return Math.max(...this.all.map(({ outage }) => outage.lostForMs));
    return lostTogetherMs(this.split({ keys: [], tags }, [LOG_GROUP]).map(({ group }) => group.outage));
  }

  close(): void {
    for (const connection of this.#connections) connection.end();
  }

  /** Reports something that this Redis does not offer, once. */
  limited(text: string): void {
    if (this.#limits.has(text)) return;
    this.#limits.add(text);
    this.#onLimit(text);
  }

  /** The lease is on one server. If connections lead to different servers, all are closed and opened again. */
  oneServer(group: Group, run: string): void {
    const others = [this.#reader, this.writer].filter((connection) => {
      const server = connection.serverOf(group.hashTag);
      return server !== undefined && server.run !== run;
    });
    if (others.length === 0) return;
    const why = 'the connections lead to different servers';
    for (const connection of [...others, this.ticker]) connection.drop(group.hashTag, why);
  }

  async onNewConnection(parts: readonly Part[], run: (connection: Connection) => Promise<void>): Promise<void> {
    const connection = openConnection(this.#place, { waitMs: this.#waitMs, once: true });
    const startedMs = this.#clock.monotonicMs();
    try {
      await withTimeout(connection.connect(), this.#waitMs).catch((error) => {
        for (const { group } of parts) group.outage.failed(startedMs, textOf(error));
        throw unavailable(error);
      });
      await run(connection);
    } finally {
      connection.end();
    }
  }

  /** As `attempt`, behind the breaker: for what readers wait for. */
  async reading<T>(group: Group, step: Step, run: (client: Redis | Cluster, server: Server) => Promise<T>): Promise<T> {
    if (!group.breaker.allows()) throw unavailable(new Error('it failed several times in a row'));
    try {
      const value = await this.attempt(group, this.#reader, step, run);
      group.breaker.succeeded();
      return value;
    } catch (error) {
      // A server that answers may be read, also when it refuses to store something, or what only operators need.
      if (!serves(step) && mayBeRead((error as Error).cause)) group.breaker.succeeded();
      else group.breaker.failed();
      throw error;
    }
  }

  /**
   * Turns every failure into STORE_UNAVAILABLE, keeps account of the outage, and leaves a connection that does not
   * answer.
   */
  attempt<T>(
    group: Group,
    connection: Connection,
    step: Step,
    run: (client: Redis | Cluster, server: Server) => Promise<T>,
  ): Promise<T> {
    return inSpan(
      () => redisSpan(step, connection.client),
      () => this.#attempt(group, connection, step, run),
    );
  }

  async #attempt<T>(
    group: Group,
    connection: Connection,
    step: Step,
    run: (client: Redis | Cluster, server: Server) => Promise<T>,
  ): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    let sent = false;
    try {
      // A writer need not know the run of its server.
      const known = connection.serverOf(group.hashTag);
      const server = known ?? (connection === this.#reader || connection === this.ticker ? undefined : UNKNOWN_SERVER);
      if (connection.refusal !== undefined) {
        this.limited(`it cannot be used, so nothing is cached: ${connection.refusal.message}`);
        throw connection.refusal;
      }
      if (server === undefined || !connection.selected) {
        const { failure } = connection;
        throw new Error(`there is no connection${failure === undefined ? '' : `: ${failure}`}`);
      }
      corkForNow(connection.client);
      sent = true;
      const value = await withTimeout(run(connection.client, server), this.#waitMs);
      group.outage.answered();
      return value;
    } catch (error) {
      this.#noteFailure(group, step, startedMs, error);
      if (error instanceof Error && error.message === TIMED_OUT) connection.drop(group.hashTag, TIMED_OUT);
      throw unavailable(error);
    } finally {
      if (sent) this.#trips.get(KINDS[step])?.observe(this.#clock.monotonicMs() - startedMs);
    }
  }

  #noteFailure({ outage }: Group, step: Step, startedMs: number, error: unknown): void {
    const kind = KINDS[step];
    if (!mayBeRead(error) || serves(step)) outage.failed(startedMs, textOf(error));
    else if (kind === 'fence') outage.refused(startedMs, textOf(error), 'fence');
    else if (kind === 'apply') outage.refused(startedMs, textOf(error), 'tick');
    else outage.answered();
    // Its callers do without, so only this says why statistics or samples are missing.
    const refusal = textOf(error);
    if (FOR_OPERATORS.has(step) && refusal.startsWith('NOPERM')) this.limited(`it refuses ${step}: ${refusal}`);
  }

  /** HEAD's own write was refused. After READONLY the next connection may lead to the present primary. */
  refusedInHead(group: Group, startedMs: number, refusal: string): void {
    group.outage.refused(startedMs, refusalText(refusal), 'tick');
    if (refusal.includes('READONLY')) this.ticker.drop(group.hashTag, refusal);
  }
}

/** The server behind a connection whose run is not known yet. */
const UNKNOWN_SERVER: Server = { run: '?', link: 0 };

export function unavailable(error: unknown): CacheError {
  if (error instanceof CacheError) return error;
  return new CacheError('STORE_UNAVAILABLE', `Redis: ${messageOf(error)}`, { cause: error });
}

/** These answers are given to every command that names a key: such a server is as lost as one that does not answer. */
const SERVES_NO_KEYS = /^(CLUSTERDOWN(?!.*only accepts read)|LOADING|MASTERDOWN)\b/;

/** The server itself refused the command, and may serve reads all the same. */
function mayBeRead(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && !SERVES_NO_KEYS.test(error.message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function textOf(error: unknown): string {
  return refusalText(messageOf(error));
}

/** The log group's part only when those of all other groups have ended well: what it tells is true of them, too. */
export async function logGroupLast(parts: readonly Part[], run: (part: Part) => Promise<void>): Promise<void> {
  if (parts.length === 1) return run(parts[0] as Part);
  await allEnded(parts.filter(({ group }) => group.index !== LOG_GROUP).map(run));
  await allEnded(parts.filter(({ group }) => group.index === LOG_GROUP).map(run));
}

/** Waits for all. @throws the first failure, when all have ended */
export async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
