/** A client of subscriptions as frontends have one, that notes what it is told. */
import { type Client, createClient } from 'graphql-ws';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import type { UserId } from '../../src/db/ids.js';
import { eventually } from './app.js';
import type { LiveApp } from './live.js';

export interface Change {
  readonly type: 'CREATED' | 'UPDATED' | 'DELETED';
  readonly taskId: string;
  readonly version: number;
  readonly at: string;
  readonly changedFields: string[];
  readonly task: { readonly title: string; readonly version: number } | null;
}

export interface Close {
  readonly code: number;
  readonly reason: string;
}

export interface Subscription {
  readonly changes: Change[];
  /** What it was refused or broken off with. */
  readonly errors: { readonly message: string; readonly extensions?: Record<string, unknown> }[];
  readonly ended: boolean;
  stop(): void;
}

export interface Connection {
  /** What it was closed with. */
  readonly closed: Promise<Close>;
  /** Resolves when the server tells of every commit from now on. */
  subscribe(variables?: { projectId?: string; taskId?: string }): Promise<Subscription>;
  /** Any document. Resolves at once. `onData` gets the data of each event. */
  send(
    query: string,
    variables?: Record<string, unknown>,
    onData?: (data: Record<string, unknown>) => void,
  ): Subscription;
  /** Of the socket underneath. */
  socket(): WebSocket;
  close(): Promise<void>;
}

const DOCUMENT = `subscription($projectId: ID, $taskId: ID) {
  taskChanged(projectId: $projectId, taskId: $taskId) { type taskId version at changedFields task { title version } }
}`;

/** `params` in place of the viewer's token. */
export function connect(app: LiveApp, as: UserId, params?: Record<string, unknown> | undefined): Connection {
  let tellClosed: (close: Close) => void = () => {};
  const closed = new Promise<Close>((resolve) => {
    tellClosed = resolve;
  });
  let socket: WebSocket | undefined;
  const client: Client = createClient({
    url: app.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazy: false,
    onNonLazyError: () => {}, // told by `closed`
    connectionParams: async () => params ?? { authorization: `Bearer ${await app.tokenOf(as)}` },
    on: {
      opened: (opened) => {
        socket = opened as WebSocket;
      },
      closed: (event) => {
        const { code, reason } = event as Close;
        tellClosed({ code, reason });
      },
    },
  });
  const send: Connection['send'] = (query, variables, onData) => {
    const told = { changes: [] as Change[], errors: [] as Subscription['errors'], ended: false, stop: () => {} };
    const end = () => {
      told.ended = true;
    };
    told.stop = client.subscribe<{ taskChanged: Change }>(
      { query, ...(variables && { variables }) },
      {
        next({ data, errors }) {
          if (data?.taskChanged) told.changes.push(data.taskChanged);
          if (data) onData?.(data);
          told.errors.push(...((errors ?? []) as Subscription['errors']));
        },
        error(error) {
          if (Array.isArray(error)) told.errors.push(...(error as Subscription['errors']));
          end();
        },
        complete: end,
      },
    );
    return told;
  };
  return {
    closed,
    async subscribe(variables = {}) {
      const before = app.taskEvents.subscribers;
      const told = send(DOCUMENT, variables);
      await eventually(() => expect(app.taskEvents.subscribers > before || told.ended).toBe(true));
      return told;
    },
    send,
    socket: () => socket as WebSocket,
    close: async () => client.dispose(),
  };
}
