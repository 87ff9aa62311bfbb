/**
 * Delivers task events from Postgres to the subscribers of this process: after commit, from every writer, in order per
 * task. The table is the source of truth; news from the store only trigger a poll. Without subscribers nothing is read.
 * With subscribers, one statement serves all of them: one per piece of news, and one every two seconds.
 *
 * A poll reads exactly what became visible since the previous poll. Both snapshots come from Postgres, so a transaction
 * that commits late is not missed. An event is sent once the store reports that the tags of its transaction are
 * applied; values read for it are then at least as new. An event that is never reported is sent a second later and read
 * past the cache.
 */
import { type SQL, sql } from 'drizzle-orm';
import { isoText } from '../../db/columns.js';
import { fromUuid, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import {
  type Clock,
  type Messages,
  type StoreEvent,
  systemClock,
  type Tag,
  tableOf,
} from '../../engine/cache/index.js';
import type { Database } from '../../engine/postgres/index.js';
import type { Log } from '../../platform/log.js';
import { MINUTE } from '../../std/time.js';
import { memberRows } from '../projects/project.table.js';
import { userRows } from '../users/user.table.js';
import { taskEvents } from './task-event.table.js';

/** Poll interval without news. */
const POLL_INTERVAL_MS = 2000;
/** How long an event waits for its report. The relay reports writes of other clients four times a second. */
const MAX_HELD_MS = 1000;
/** More events in one poll are not sent individually. */
const MAX_EVENTS_PER_LOOK = 1000;
/** Maximum number of transactions reported between two polls. */
const MAX_REPORTED = 10_000;
/** After Postgres was unreachable for longer, events may have been trimmed. Well below the retention of the outbox. */
const MAX_BLIND_MS = 30 * MINUTE;

export type TaskEventType = 'CREATED' | 'UPDATED' | 'DELETED';

/** The change one transaction made to one task. */
export interface TaskEvent {
  readonly xid: string;
  readonly type: TaskEventType;
  readonly taskId: TaskId;
  readonly projectId: ProjectId;
  /** The previous project, if the task moved. */
  readonly fromProjectId: ProjectId | null;
  readonly version: number;
  readonly changedFields: readonly string[];
  readonly at: string;
  /** Null if unknown. */
  readonly actorId: UserId | null;
}

/** A message to a subscriber. */
export type TaskNews =
  /** `applied`: the cache has been invalidated. Otherwise values for this event must be read past the cache. */
  | { readonly kind: 'event'; readonly event: TaskEvent; readonly applied: boolean }
  /** The viewer or the viewer's memberships may have changed. */
  | { readonly kind: 'members' }
  /** Some changes of this project, or of any project if null, are not delivered. */
  | { readonly kind: 'lost'; readonly projectId: ProjectId | null };

export interface TaskSubscriber {
  readonly viewerId: UserId;
  tell(news: TaskNews): void;
}

export interface TaskEventsOptions {
  readonly db: Database;
  readonly store: Messages;
  readonly log: Log;
  /** The tables whose writes are recorded as task events. */
  readonly tables: readonly string[];
  readonly clock?: Clock;
}

interface Membership {
  /** Those of the viewer's memberships and of its row in `users`. */
  readonly tags: readonly [Tag, Tag];
  /** Whether it receives every commit from now on. */
  ready: boolean;
}

export class TaskEvents {
  readonly #options: TaskEventsOptions;
  readonly #subscribers = new Map<TaskSubscriber, Membership>();
  #feed: TaskEventPoller | undefined;
  #stopping: Promise<unknown> = Promise.resolve();

  constructor(options: TaskEventsOptions) {
    this.#options = options;
  }

  /** The number of subscribers that receive every commit. */
  get subscribers(): number {
    return [...this.#subscribers.values()].filter(({ ready }) => ready).length;
  }

  /**
   * Once this resolves, the subscriber receives every commit.
   * @returns a function that ends the subscription
   */
  async subscribe(subscriber: TaskSubscriber): Promise<() => void> {
    const leave = () => {
      if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) void this.close();
    };
    const { viewerId } = subscriber;
    const tags = [memberRows.byUser(viewerId)[0], userRows.byId(viewerId)[0]] as const;
    const membership = { tags, ready: false };
    this.#subscribers.set(subscriber, membership);
    this.#feed ??= new TaskEventPoller(this.#options, {
      news: (news) => this.#tellAll(news),
      members: (tags) => this.#tellMembers(tags),
    });
    try {
      await this.#feed.started;
    } catch (error) {
      leave();
      throw error;
    }
    membership.ready = true;
    return leave;
  }

  /** Resolves when no more statements are running. */
  async close(): Promise<void> {
    this.#stopping = Promise.all([this.#stopping, this.#feed?.stop()]);
    this.#feed = undefined;
    await this.#stopping;
  }

  #tellAll(news: TaskNews): void {
    for (const subscriber of this.#subscribers.keys()) subscriber.tell(news);
  }

  #tellMembers(tags: ReadonlySet<Tag> | 'all'): void {
    for (const [subscriber, membership] of this.#subscribers) {
      if (tags === 'all' || membership.tags.some((tag) => tags.has(tag))) subscriber.tell({ kind: 'members' });
    }
  }
}

/** An event that was read but not sent yet. */
interface WaitingEvent {
  readonly event: TaskEvent;
  readonly sinceMs: number;
  applied: boolean;
}

/** The receivers of a poller's messages. */
interface Listeners {
  news(news: TaskNews): void;
  members(tags: ReadonlySet<Tag> | 'all'): void;
}

/** Lives from the first subscriber to the last. */
class TaskEventPoller {
  /** Resolves when every later commit will be delivered. */
  readonly started: Promise<void>;
  readonly #db: Database;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #tables: readonly string[];
  readonly #tell: Listeners;
  readonly #stopListening: () => void;
  #snapshot: string | undefined;
  #lookedAtMs = 0;
  #reported = new Set<string>();
  #waiting: WaitingEvent[] = [];
  #gap = false;
  #again = false;
  #polling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failing = false;

  constructor({ db, store, log, tables, clock = systemClock }: TaskEventsOptions, tell: Listeners) {
    this.#db = db;
    this.#tables = tables;
    this.#log = log;
    this.#clock = clock;
    this.#tell = tell;
    this.#stopListening = store.subscribe((news) => this.#onStoreEvent(news));
    this.started = this.#poll().then(() => this.#schedule());
    this.started.catch(() => {}); // `subscribe` reports the error
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#stopListening();
    await Promise.allSettled([this.started, this.#polling]);
  }

  #onStoreEvent(news: StoreEvent): void {
    if (this.#stopped) return;
    if (news.kind === 'disconnected') {
      this.#gap = true;
      this.#tell.members('all');
      this.#schedulePoll();
      return;
    }
    const tables = new Set(news.tags.map(tableOf));
    if (tables.has(memberRows.table) || tables.has(userRows.table)) {
      const tags = new Set(news.tags);
      const whole = tags.has(memberRows.table as Tag) || tags.has(userRows.table as Tag);
      this.#tell.members(whole ? 'all' : tags);
    }
    if (!this.#tables.some((table) => tables.has(table))) return;
    for (const xid of news.xids) this.#reported.add(xid);
    if (this.#reported.size > MAX_REPORTED) {
      this.#reported.clear();
      this.#gap = true;
    }
    this.#schedulePoll();
  }

  /** Everything that arrives in one event-loop tick, or during a poll, is handled by one poll. */
  #schedulePoll(): void {
    this.#again = true;
    this.#polling ??= this.#lookWhileWanted();
  }

  async #lookWhileWanted(): Promise<void> {
    clearTimeout(this.#timer);
    await this.started.catch(() => {});
    while (this.#again && !this.#stopped) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#again = false;
      await this.#lookAndTell();
    }
    this.#polling = undefined;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#schedulePoll(), this.#waiting.length > 0 ? MAX_HELD_MS : POLL_INTERVAL_MS);
  }

  async #lookAndTell(): Promise<void> {
    const heard = this.#reported;
    const gap = this.#gap;
    this.#reported = new Set();
    this.#gap = false;
    try {
      const events = await this.#poll();
      if (this.#failing) this.#log.info('task events can be read again');
      this.#failing = false;
      this.#release(events, { heard, gap });
    } catch (error) {
      for (const xid of heard) this.#reported.add(xid);
      this.#gap ||= gap;
      if (!this.#failing) this.#log.warn({ err: error }, 'task events cannot be read: subscribers wait');
      this.#failing = true;
    }
  }

  /** Events that became visible since the last poll. */
  async #poll(): Promise<readonly TaskEvent[]> {
    const { snapshot, rows } = await newRows(this.#db, this.#snapshot);
    const before = this.#snapshot;
    const nowMs = this.#clock.monotonicMs();
    const blindMs = nowMs - this.#lookedAtMs;
    this.#snapshot = snapshot;
    this.#lookedAtMs = nowMs;
    if (before === undefined) return [];
    const lost = blindMs > MAX_BLIND_MS || isOfAnotherHistory(before, snapshot) || rows.length > MAX_EVENTS_PER_LOOK;
    if (lost) {
      this.#waiting = [];
      this.#tell.news({ kind: 'lost', projectId: null });
      return [];
    }
    for (const { type, projectId } of rows) {
      if (type !== 'MANY') continue;
      this.#tell.news({ kind: 'lost', projectId: projectOf(projectId) });
    }
    return perTransaction(rows.filter(isEvent).map(toEvent));
  }

  /** Sends the events that are ready. The others wait, and with them later events of the same task. */
  #release(events: readonly TaskEvent[], { heard, gap }: { heard: ReadonlySet<string>; gap: boolean }): void {
    const nowMs = this.#clock.monotonicMs();
    const all = [...this.#waiting, ...events.map((event): WaitingEvent => ({ event, sinceMs: nowMs, applied: false }))];
    const waiting = new Set<TaskId>();
    this.#waiting = all.filter((held) => {
      const { event, sinceMs } = held;
      held.applied ||= heard.has(event.xid);
      const due = held.applied || gap || nowMs - sinceMs >= MAX_HELD_MS;
      if (due && !waiting.has(event.taskId)) {
        this.#tell.news({ kind: 'event', event, applied: held.applied });
        return false;
      }
      waiting.add(event.taskId);
      return true;
    });
  }
}

export interface EventRow {
  readonly xid: string;
  readonly type: TaskEventType | 'MANY';
  readonly taskId: string | null;
  readonly projectId: string | null;
  readonly fromProjectId: string | null;
  readonly version: number | null;
  readonly changedFields: string[];
  readonly at: string;
  readonly actorId: string | null;
}

type SingleRow = EventRow & { type: TaskEventType; taskId: string; projectId: string; version: number };

export function isEvent<R extends EventRow>(row: R): row is R & SingleRow {
  return row.type !== 'MANY';
}

export function toEvent({ taskId, projectId, fromProjectId, actorId, ...rest }: SingleRow): TaskEvent {
  return {
    ...rest,
    actorId: actorId === null ? null : fromUuid('user', actorId),
    taskId: fromUuid('task', taskId),
    projectId: fromUuid('project', projectId),
    fromProjectId: projectOf(fromProjectId),
  };
}

export function projectOf(uuid: string | null): ProjectId | null {
  return uuid === null ? null : fromUuid('project', uuid);
}

/**
 * One statement: the current snapshot, and the rows visible in it but not in `since`. Without `since`, only the
 * snapshot.
 */
async function newRows(db: Database, since: string | undefined): Promise<{ snapshot: string; rows: EventRow[] }> {
  const before = sql`${since ?? null}::text::pg_snapshot`;
  const [found] = await db.read.execute<{ snapshot: string; rows: EventRow[] | null }>(sql`
    select pg_current_snapshot()::text as snapshot, (
      select json_agg(json_build_object(${eventColumns()}) order by seq)
      from (
        select * from ${taskEvents}
        where ${taskEvents.xid} >= pg_snapshot_xmin(${before}) and not pg_visible_in_snapshot(${taskEvents.xid}, ${before})
        limit ${MAX_EVENTS_PER_LOOK + 1}
      ) as task_events
    ) as rows`);
  return { snapshot: (found as { snapshot: string }).snapshot, rows: found?.rows ?? [] };
}

export function eventColumns(): SQL {
  const { xid, type, taskId, projectId, fromProjectId, version, changedFields, at, actorId } = taskEvents;
  return sql`'xid', ${xid}::text, 'type', ${type}, 'taskId', ${taskId}, 'projectId', ${projectId},
    'fromProjectId', ${fromProjectId}, 'version', ${version}, 'changedFields', ${changedFields}, 'at', ${isoText(sql`${at}`)},
    'actorId', ${actorId}`;
}

/** A restored Postgres reuses transaction ids that an older snapshot has seen. */
function isOfAnotherHistory(before: string, now: string): boolean {
  const [xmin = '0'] = before.split(':');
  const [, xmax = '0'] = now.split(':');
  return BigInt(xmax) < BigInt(xmin);
}

/** Merges the events of one task in one transaction: fields and labels are written by separate statements. */
export function perTransaction(events: readonly TaskEvent[]): TaskEvent[] {
  const merged = new Map<string, TaskEvent | undefined>();
  for (const event of events) {
    const key = `${event.xid} ${event.taskId}`;
    const before = merged.get(key);
    merged.delete(key); // moves it to the position of its last step
    merged.set(key, before === undefined ? event : inOne(before, event));
  }
  return [...merged.values()].filter((event) => event !== undefined);
}

/** Undefined if the task was created and deleted again. */
function inOne(first: TaskEvent, then: TaskEvent): TaskEvent | undefined {
  const created = first.type === 'CREATED';
  const deleted = then.type === 'DELETED';
  if (created && deleted) return undefined;
  const from = first.fromProjectId ?? first.projectId;
  return {
    ...then,
    type: created ? 'CREATED' : deleted ? 'DELETED' : 'UPDATED',
    fromProjectId: created || from === then.projectId ? null : from,
    changedFields: [...new Set([...first.changedFields, ...then.changedFields])],
  };
}
