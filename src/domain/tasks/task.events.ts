/**
 * What happened to tasks, brought from Postgres to this process's subscribers: after commit, whoever wrote, in order for each task. The
 * truth is the table; the store's news only say when to look. While nobody subscribes nothing is read; else one statement for all, per
 * piece of news, and one every two seconds.
 *
 * A look reads exactly what has become visible since the look before: both snapshots are Postgres's own, so a transaction that commits
 * late is not passed over. An event goes out when the store has told that its transaction's tags are applied, since then nothing that is
 * read with it can be older. One that nobody tells of goes out a second later, to be read past the cache.
 */
import { type SQL, sql } from 'drizzle-orm';
import { isoText } from '../../db/columns.js';
import { fromUuid, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import { type Clock, type Store, type StoreEvent, systemClock, type Tag, tableOf } from '../../engine/cache/index.js';
import type { Database } from '../../engine/postgres/index.js';
import type { Log } from '../../platform/log.js';
import { MINUTE } from '../../std/time.js';
import { memberRows } from '../projects/project.table.js';
import { taskLabelRows, taskRows } from './task.table.js';
import { taskEvents } from './task-event.table.js';

/** Without news: how long until we look nevertheless. */
const LOOK_EVERY_MS = 2000;
/** How long an event waits to be told of. The relay tells of what others wrote four times a second. */
const MAX_HELD_MS = 1000;
/** More in one look than subscribers are told one by one. */
const MAX_EVENTS_PER_LOOK = 1000;
/** Transactions told of between two looks. */
const MAX_HEARD = 10_000;
/** After a longer silence of Postgres some events may have been trimmed: well below what the outbox keeps. */
const MAX_BLIND_MS = 30 * MINUTE;

export type TaskEventType = 'CREATED' | 'UPDATED' | 'DELETED';

/** What one transaction did to one task. */
export interface TaskEvent {
  readonly xid: string;
  readonly type: TaskEventType;
  readonly taskId: TaskId;
  readonly projectId: ProjectId;
  /** Where the task was before, if it moved. */
  readonly fromProjectId: ProjectId | null;
  readonly version: number;
  readonly changedFields: readonly string[];
  readonly at: string;
}

/** What a subscriber is told. */
export type TaskNews =
  /** `applied`: the cache knows. Else what goes with the event must be read past it. */
  | { readonly kind: 'event'; readonly event: TaskEvent; readonly applied: boolean }
  /** The viewer's memberships may have changed. */
  | { readonly kind: 'members' }
  /** Not all that happened is told: to tasks of this project, or of any. */
  | { readonly kind: 'lost'; readonly projectId: ProjectId | null };

export interface TaskSubscriber {
  readonly viewerId: UserId;
  tell(news: TaskNews): void;
}

export interface TaskEventsOptions {
  readonly db: Database;
  readonly store: Store;
  readonly log: Log;
  readonly clock?: Clock;
}

interface Membership {
  /** Of the subscriber's viewer. */
  readonly tag: Tag;
  /** It is told of every commit from now on. */
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

  /** How many are told of every commit. */
  get subscribers(): number {
    return [...this.#subscribers.values()].filter(({ ready }) => ready).length;
  }

  /**
   * From when this has resolved, the subscriber is told of every commit.
   * @returns what ends it
   */
  async subscribe(subscriber: TaskSubscriber): Promise<() => void> {
    const leave = () => {
      if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) void this.close();
    };
    const membership = { tag: memberRows.byUser(subscriber.viewerId)[0], ready: false };
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

  /** Resolves when Postgres is asked nothing more. */
  async close(): Promise<void> {
    this.#stopping = Promise.all([this.#stopping, this.#feed?.stop()]);
    this.#feed = undefined;
    await this.#stopping;
  }

  #tellAll(news: TaskNews): void {
    for (const subscriber of this.#subscribers.keys()) subscriber.tell(news);
  }

  #tellMembers(tags: ReadonlySet<Tag> | 'all'): void {
    for (const [subscriber, { tag }] of this.#subscribers) {
      if (tags === 'all' || tags.has(tag)) subscriber.tell({ kind: 'members' });
    }
  }
}

/** An event that has been read and not yet told. */
interface WaitingEvent {
  readonly event: TaskEvent;
  readonly sinceMs: number;
  applied: boolean;
}

/** Whom a feed tells. */
interface Listeners {
  news(news: TaskNews): void;
  members(tags: ReadonlySet<Tag> | 'all'): void;
}

/** From the first subscriber to the last. */
class TaskEventPoller {
  /** Resolves when what happens from now on will be told. */
  readonly started: Promise<void>;
  readonly #db: Database;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #tell: Listeners;
  readonly #stopListening: () => void;
  #snapshot: string | undefined;
  #lookedAtMs = 0;
  #heard = new Set<string>();
  #waiting: WaitingEvent[] = [];
  #gap = false;
  #again = false;
  #polling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failing = false;

  constructor({ db, store, log, clock = systemClock }: TaskEventsOptions, tell: Listeners) {
    this.#db = db;
    this.#log = log;
    this.#clock = clock;
    this.#tell = tell;
    this.#stopListening = store.subscribe((news) => this.#onStoreEvent(news));
    this.started = this.#poll().then(() => this.#schedule());
    this.started.catch(() => {}); // told to whoever subscribed
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#stopListening();
    await Promise.allSettled([this.started, this.#polling]);
  }

  #onStoreEvent(news: StoreEvent): void {
    if (this.#stopped) return;
    if (news.kind === 'gap') {
      this.#gap = true;
      this.#tell.members('all');
      this.#schedulePoll();
      return;
    }
    const tables = new Set(news.tags.map(tableOf));
    if (tables.has(memberRows.table)) {
      const tags = new Set(news.tags);
      this.#tell.members(tags.has(memberRows.table as Tag) ? 'all' : tags);
    }
    if (!tables.has(taskRows.table) && !tables.has(taskLabelRows.table)) return;
    for (const xid of news.xids) this.#heard.add(xid);
    if (this.#heard.size > MAX_HEARD) {
      this.#heard.clear();
      this.#gap = true;
    }
    this.#schedulePoll();
  }

  /** All that comes in one turn, or during a look, is one look. */
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
    this.#timer = setTimeout(() => this.#schedulePoll(), this.#waiting.length > 0 ? MAX_HELD_MS : LOOK_EVERY_MS);
  }

  async #lookAndTell(): Promise<void> {
    const heard = this.#heard;
    const gap = this.#gap;
    this.#heard = new Set();
    this.#gap = false;
    try {
      const events = await this.#poll();
      if (this.#failing) this.#log.info('events of tasks are read again');
      this.#failing = false;
      this.#release(events, { heard, gap });
    } catch (error) {
      for (const xid of heard) this.#heard.add(xid);
      this.#gap ||= gap;
      if (!this.#failing) this.#log.warn({ err: error }, 'events of tasks cannot be read: subscribers wait');
      this.#failing = true;
    }
  }

  /** What has become visible since the last look. */
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

  /** Tells what may be told; the rest waits, and with it what follows of the same task. */
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
}

type SingleRow = EventRow & { type: TaskEventType; taskId: string; projectId: string; version: number };

export function isEvent<R extends EventRow>(row: R): row is R & SingleRow {
  return row.type !== 'MANY';
}

export function toEvent({ taskId, projectId, fromProjectId, ...rest }: SingleRow): TaskEvent {
  return {
    ...rest,
    taskId: fromUuid('task', taskId),
    projectId: fromUuid('project', projectId),
    fromProjectId: projectOf(fromProjectId),
  };
}

export function projectOf(uuid: string | null): ProjectId | null {
  return uuid === null ? null : fromUuid('project', uuid);
}

/** One statement: the rows of its snapshot that the snapshot `since` did not have, and the snapshot. Without `since` only that. */
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
  const { xid, type, taskId, projectId, fromProjectId, version, changedFields, at } = taskEvents;
  return sql`'xid', ${xid}::text, 'type', ${type}, 'taskId', ${taskId}, 'projectId', ${projectId},
    'fromProjectId', ${fromProjectId}, 'version', ${version}, 'changedFields', ${changedFields}, 'at', ${isoText(sql`${at}`)}`;
}

/** A Postgres that was put back gives ids again that an older snapshot has seen. */
function isOfAnotherHistory(before: string, now: string): boolean {
  const [xmin = '0'] = before.split(':');
  const [, xmax = '0'] = now.split(':');
  return BigInt(xmax) < BigInt(xmin);
}

/** What a transaction did to a task in several steps is one event: labels and fields are written by statements of their own. */
export function perTransaction(events: readonly TaskEvent[]): TaskEvent[] {
  const merged = new Map<string, TaskEvent | undefined>();
  for (const event of events) {
    const key = `${event.xid} ${event.taskId}`;
    const before = merged.get(key);
    merged.delete(key); // to the place of its last step
    merged.set(key, before === undefined ? event : inOne(before, event));
  }
  return [...merged.values()].filter((event) => event !== undefined);
}

/** Undefined: what was created is gone again. */
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
