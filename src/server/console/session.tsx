/** What all views share: the API with the token, the activity, and the address. */
import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import { Activity } from './activity.js';
import { Api } from './api.js';
import { ApiError } from './api-error.js';
import { ACTIVITY } from './documents.js';
import type { ActivityMessage } from './types.js';

export interface Session {
  readonly api: Api;
  readonly activity: Activity;
  /** The token does not do: another is asked for. */
  readonly refuse: (why: string) => void;
}

export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error('no session');
  return session;
}

/** Opens the stream of activity. @returns the session and a function that ends it */
export function openSession(token: string, refuse: (why: string) => void): { session: Session; close: () => void } {
  const api = new Api(token);
  const activity = new Activity();
  const close = api.subscribe<{ cacheActivity: ActivityMessage }>(ACTIVITY, {
    next: ({ cacheActivity }) => activity.add(cacheActivity),
    state: (state, error) => activity.setState(state, error),
    refused: (error) => refuse(error.message),
  });
  return { session: { api, activity, refuse }, close };
}

/** Renders again with each message. */
export function useActivity(): Activity {
  const { activity } = useSession();
  const [, render] = useState(0);
  useEffect(() => activity.listen(() => render((count) => count + 1)), [activity]);
  return activity;
}

export interface Route {
  /** `explain` of `#/explain?query=…`. */
  readonly view: string;
  readonly parameters: URLSearchParams;
}

function currentRoute(): Route {
  const [view = '', parameters] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { view: view || 'now', parameters: new URLSearchParams(parameters) };
}

export function useRoute(): Route {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const listener = () => setRoute(currentRoute());
    addEventListener('hashchange', listener);
    return () => removeEventListener('hashchange', listener);
  }, []);
  return route;
}

export function linkTo(view: string, parameters: Record<string, string> = {}): string {
  const text = new URLSearchParams(parameters).toString();
  return `#/${view}${text === '' ? '' : `?${text}`}`;
}

export interface Loaded<T> {
  readonly value?: T;
  readonly error?: string;
  readonly reload: () => void;
}

/** Loads when `variables` change and, with `everyMs`, again and again. The last value stays while another is loaded. */
export function useQuery<T>(document: string, variables: object | undefined, everyMs?: number): Loaded<T> {
  const { api, refuse } = useSession();
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const [round, setRound] = useState(0);
  const key = JSON.stringify(variables);
  useEffect(() => {
    if (variables === undefined) return;
    let over = false;
    const load = () =>
      api.query<T>(document, variables).then(
        (value) => over || setState({ value }),
        (error: Error) => {
          if (over) return;
          if (error instanceof ApiError && error.refused) refuse(error.message);
          setState((last) => ({ ...last, error: error.message }));
        },
      );
    load();
    const timer = everyMs === undefined ? undefined : setInterval(load, everyMs);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [api, document, key, everyMs, round]);
  return { ...state, reload: () => setRound((count) => count + 1) };
}
