/**
 * Reports to the subscribers of this process which parts of their projects may have changed: after commit, from every
 * writer. The source is the store's messages, whose tags name the project. They carry no values, so what is read after
 * a message is at least as new. Without subscribers no messages are received.
 *
 * A message may come without a change, such as for a write that was rolled back, and twice for one. None is lost: when
 * some may have been missed, every part may have changed.
 */
import type { ProjectId, UserId } from '../../db/ids.js';
import type { Messages, StoreEvent, Tag } from '../../engine/cache/index.js';
import { SECOND } from '../../std/time.js';
import { userRows } from '../users/user.table.js';
import { memberRows } from './project.table.js';

/** How long a subscriber waits for the connection that brings messages. If it comes later, it reports every part. */
const CONNECTION_WAIT_MS = SECOND;

export const PROJECT_PARTS = ['PROJECT', 'LABELS', 'MEMBERS'] as const;
export type ProjectPart = (typeof PROJECT_PARTS)[number];

/** The tags of each part. A change touches at least one of them. */
export type ProjectPartTags = Readonly<Record<ProjectPart, (id: ProjectId) => readonly Tag[]>>;

export interface ProjectSubscriber {
  readonly viewerId: UserId;
  readonly projectId: ProjectId;
  /** Without parts, only the viewer or the viewer's memberships may have changed. */
  tell(parts: readonly ProjectPart[]): void;
}

export interface ProjectEventsOptions {
  readonly store: Messages & { readonly kind: string };
  readonly partTags: ProjectPartTags;
}

interface Connection {
  /** Resolves when messages come, or are no longer waited for. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  stop(): void;
}

/** The parts that a tag names, by subscriber. */
type Watchers = Map<ProjectSubscriber, ProjectPart[]>;

export class ProjectEvents {
  readonly #options: ProjectEventsOptions;
  readonly #subscribers = new Map<ProjectSubscriber, ReadonlySet<Tag>>();
  readonly #watchers = new Map<Tag, Watchers>();
  #connection: Connection | undefined;

  constructor(options: ProjectEventsOptions) {
    this.#options = options;
  }

  /**
   * Once this resolves, the subscriber receives every change.
   * @returns a function that ends the subscription
   */
  async subscribe(subscriber: ProjectSubscriber): Promise<() => void> {
    this.#enter(subscriber);
    this.#connection ??= this.#connect();
    await this.#connection.ready;
    return () => this.#remove(subscriber);
  }

  /** The number of subscribers that receive every change. */
  get subscribers(): number {
    return this.#connection?.isReady ? this.#subscribers.size : 0;
  }

  close(): void {
    this.#connection?.stop();
    this.#connection = undefined;
  }

  #enter(subscriber: ProjectSubscriber): void {
    const tags = new Set<Tag>();
    const watch = (tag: Tag, parts: readonly ProjectPart[]) => {
      tags.add(tag);
      const watchers: Watchers = this.#watchers.get(tag) ?? new Map();
      this.#watchers.set(tag, watchers.set(subscriber, [...(watchers.get(subscriber) ?? []), ...parts]));
    };
    for (const part of PROJECT_PARTS) {
      for (const tag of this.#options.partTags[part](subscriber.projectId)) watch(tag, [part]);
    }
    const ofViewer = [memberRows.byUser(subscriber.viewerId), userRows.byId(subscriber.viewerId)];
    for (const tag of ofViewer.flat()) watch(tag, []);
    this.#subscribers.set(subscriber, tags);
  }

  #remove(subscriber: ProjectSubscriber): void {
    for (const tag of this.#subscribers.get(subscriber) ?? []) {
      const watchers = this.#watchers.get(tag);
      watchers?.delete(subscriber);
      if (watchers?.size === 0) this.#watchers.delete(tag);
    }
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size === 0) this.close();
  }

  #connect(): Connection {
    const { store } = this.#options;
    let setReady = () => {};
    const ready = new Promise<void>((resolve) => {
      setReady = resolve;
    });
    const connected = () => {
      clearTimeout(timer);
      connection.isReady = true;
      setReady();
    };
    const timer = setTimeout(connected, CONNECTION_WAIT_MS);
    const unsubscribe = store.subscribe((event) => {
      // The first message says that the connection is there. Subscribers who wait for it have missed nothing.
      if (event.kind === 'released' || connection.isReady) this.#onStoreEvent(event);
      connected();
    });
    const stop = () => {
      unsubscribe();
      connected();
    };
    const connection = { ready, isReady: false, stop };
    if (store.kind === 'memory') connected(); // it is in this process
    return connection;
  }

  #onStoreEvent(event: StoreEvent): void {
    if (event.kind === 'disconnected') {
      for (const subscriber of this.#subscribers.keys()) subscriber.tell(PROJECT_PARTS);
      return;
    }
    const concerned: Watchers = new Map();
    for (const tag of new Set(event.tags)) {
      for (const [subscriber, parts] of this.#watchers.get(tag) ?? []) {
        concerned.set(subscriber, [...(concerned.get(subscriber) ?? []), ...parts]);
      }
    }
    for (const [subscriber, parts] of concerned) subscriber.tell(parts);
  }
}
