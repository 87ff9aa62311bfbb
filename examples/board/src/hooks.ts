/** Parts of the browser as React state. */
import type { Client as Socket } from 'graphql-ws';
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';

/** `#/OPS/OPS-42`: the project and the task that are open. */
export interface Route {
  readonly project?: string | undefined;
  readonly task?: string | undefined;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(onHashChange, () => location.hash);
  const [, project, task] = hash.split('/').map(decodeURIComponent);
  return { project, task };
}

function onHashChange(changed: () => void): () => void {
  addEventListener('hashchange', changed);
  return () => removeEventListener('hashchange', changed);
}

export function go(...path: string[]): void {
  location.hash = ['#', ...path.map(encodeURIComponent)].join('/');
}

export function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (changed: () => void) => {
      const media = matchMedia(query);
      media.addEventListener('change', changed);
      return () => media.removeEventListener('change', changed);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}

/** The value as it was last left alone for a while. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

export type Connection = 'connecting' | 'live' | 'lost';

export function useConnection(socket: Socket): Connection {
  const [connection, setConnection] = useState<Connection>('connecting');
  useEffect(() => {
    const listening = [
      socket.on('connected', () => setConnection('live')),
      socket.on('closed', () => setConnection('lost')),
    ];
    return () => {
      for (const stop of listening) stop();
    };
  }, [socket]);
  return connection;
}
