/** Live queries through both clients, over WebSocket and server-sent events, as others write. */
import { readFile } from 'node:fs/promises';
import type { ApolloClient } from '@apollo/client';
import type { Client } from '@urql/core';
import { afterEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { updateTask } from '../src/apollo.js';
import type { LiveTaskListQuery } from '../src/gql/graphql.js';
import { readFragment } from '../src/gql/index.js';
import { openSocket } from '../src/live.js';
import { createLiveQueryApolloClient, LIVE } from '../src/live-apollo.js';
import { type LiveRequest, type LiveSink, type LiveTransport, openEvents, withPatches } from '../src/live-transport.js';
import { liveQueryExchange } from '../src/live-urql.js';
import { LiveTaskList, TaskRow } from '../src/operations.js';
import { createUrqlClient } from '../src/urql.js';
import { ask } from './ask.js';
import { bobCreates, bobDeletes, bobRenames, connection, newestFirst, taskOf, world } from './support.js';

const w = world();
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** What is on the screen now. */
interface Shown {
  titles: readonly string[];
  errors: readonly string[];
}

const titlesOf = ({ tasks }: LiveTaskListQuery) => tasks.edges.map(({ node }) => readFragment(TaskRow, node).title);

function socket(options: { url: string; token: string }) {
  const opened: WebSocket[] = [];
  class Recorded extends WebSocket {
    constructor(...given: ConstructorParameters<typeof WebSocket>) {
      super(...given);
      opened.push(this);
    }
  }
  const client = openSocket(options, { webSocketImpl: Recorded, retryWait: async () => {} });
  stops.push(() => client.dispose());
  return { transport: client, cut: () => opened.at(-1)?.terminate(), opened };
}

/** Everything that comes over it, as it comes. */
function recorded(transport: LiveTransport): { transport: LiveTransport; messages: object[] } {
  const messages: object[] = [];
  return {
    messages,
    transport: {
      subscribe: (request, sink) =>
        transport.subscribe(request, {
          ...sink,
          next: (message) => {
            messages.push(message);
            sink.next(message);
          },
        }),
    },
  };
}

function watchWithApollo(client: ApolloClient, first = 25): Shown {
  const shown: Shown = { titles: [], errors: [] };
  const query = client.watchQuery({ query: LiveTaskList, variables: { project: w.project.id, first }, ...LIVE });
  const watching = query.subscribe(({ data, dataState, error }) => {
    shown.errors = error ? [error.message] : [];
    if (dataState === 'complete') shown.titles = titlesOf(data);
  });
  stops.push(
    () => watching.unsubscribe(),
    () => client.stop(),
  );
  return shown;
}

function watchWithUrql(client: Client, options: { first?: number; patch?: boolean } = {}): Shown {
  const shown: Shown = { titles: [], errors: [] };
  const variables = { project: w.project.id, ...options };
  const { unsubscribe } = client
    .query(LiveTaskList, variables, { requestPolicy: 'cache-and-network' })
    .subscribe(({ data, error }) => {
      shown.errors = error ? [error.message] : [];
      if (data) shown.titles = titlesOf(data);
    });
  stops.push(unsubscribe);
  return shown;
}

const shows = (shown: Shown, titles: readonly string[]) =>
  vi.waitFor(() => expect(shown.titles).toEqual(titles), { timeout: 20_000, interval: 20 });

/** The list follows all that bob does; at its end the tasks are what they were. */
async function followsBob(shown: Shown): Promise<void> {
  await shows(shown, newestFirst);
  const { id, title } = taskOf(w, 7);
  const created = await bobCreates(w, 'Made by bob');
  await shows(shown, ['Made by bob', ...newestFirst]);
  await bobRenames(w, id, 'Renamed by bob');
  await shows(shown, ['Made by bob', 'Renamed by bob', ...newestFirst.slice(1)]);
  await bobDeletes(w, created.id);
  await bobRenames(w, id, title);
  await shows(shown, newestFirst);
}

test('Apollo Client over a WebSocket: the list follows what others do, without a request', async () => {
  const { options, counted } = connection(w);
  const shown = watchWithApollo(createLiveQueryApolloClient(options, socket(options).transport));
  await followsBob(shown);
  expect([counted.requests, shown.errors]).toEqual([0, []]);
});

test('Apollo Client over server-sent events: the same', async () => {
  const { options, counted } = connection(w);
  const events = openEvents(options);
  stops.push(() => events.dispose());
  const shown = watchWithApollo(createLiveQueryApolloClient(options, events));
  await followsBob(shown);
  expect([counted.requests, shown.errors]).toEqual([1, []]); // that of the stream
});

test('urql over a WebSocket, with patches: the same, and little comes over the wire', async () => {
  const { options, counted } = connection(w);
  const { transport, messages } = recorded(socket(options).transport);
  const more = [liveQueryExchange(withPatches(transport))];
  const shown = watchWithUrql(createUrqlClient({ ...options, more }), { patch: true });
  await followsBob(shown);
  expect([counted.requests, shown.errors]).toEqual([0, []]);
  const [first, ...changes] = messages.map((message) => Object.keys(message).sort());
  expect(first).toEqual(['data', 'revision']);
  expect(changes).toContainEqual(['patch', 'revision']);
});

test('urql over server-sent events, without patches: the same', async () => {
  const { options, counted } = connection(w);
  const events = openEvents(options);
  stops.push(() => events.dispose());
  const { transport, messages } = recorded(events);
  const shown = watchWithUrql(createUrqlClient({ ...options, more: [liveQueryExchange(transport)] }));
  await followsBob(shown);
  expect([counted.requests, shown.errors]).toEqual([1, []]);
  expect(messages.map((message) => Object.keys(message))).toEqual(messages.map(() => ['data']));
});

test('after a cut WebSocket the list is right again, with patches too', async () => {
  const { options } = connection(w);
  const { transport, cut, opened } = socket(options);
  const shown = watchWithUrql(createUrqlClient({ ...options, more: [liveQueryExchange(withPatches(transport))] }), {
    patch: true,
  });
  await shows(shown, newestFirst);
  const { id, title } = taskOf(w, 7);
  cut();
  await bobRenames(w, id, 'Renamed meanwhile');
  await shows(shown, ['Renamed meanwhile', ...newestFirst.slice(1)]);
  await bobRenames(w, id, title);
  await shows(shown, newestFirst);
  expect(opened).toHaveLength(2);
});

test('after a cut stream of events the list is right again', async () => {
  const { options } = connection(w);
  const cut = new AbortController();
  let requests = 0;
  const cuttable: typeof fetch = (url, init = {}) => {
    const signals = [init.signal, requests++ === 0 ? cut.signal : undefined].filter((signal) => !!signal);
    return fetch(url, { ...init, signal: AbortSignal.any(signals) });
  };
  const events = openEvents({ ...options, fetch: cuttable });
  stops.push(() => events.dispose());
  const shown = watchWithApollo(createLiveQueryApolloClient(options, events));
  await shows(shown, newestFirst);
  const { id, title } = taskOf(w, 7);
  cut.abort();
  await bobRenames(w, id, 'Renamed meanwhile');
  await shows(shown, ['Renamed meanwhile', ...newestFirst.slice(1)]);
  await bobRenames(w, id, title);
  await shows(shown, newestFirst);
  expect(requests).toBe(2);
});

test("one's own mutation shows at once, and the live query goes on", async () => {
  const { options } = connection(w);
  const client = createLiveQueryApolloClient(options, socket(options).transport);
  const shown = watchWithApollo(client);
  await shows(shown, newestFirst);
  const { id, title } = taskOf(w, 7);
  expect(await updateTask(client, { id, title: 'Renamed by ada' })).toMatchObject({ kind: 'done' });
  expect(shown.titles[0]).toBe('Renamed by ada');
  await bobRenames(w, id, title);
  await shows(shown, newestFirst);
});

test('what the server refuses is shown with its text', async () => {
  const { options } = connection(w);
  const { transport } = socket(options);
  const byApollo = watchWithApollo(createLiveQueryApolloClient(options, transport), 1000);
  const urql = createUrqlClient({ ...options, more: [liveQueryExchange(transport)] });
  const byUrql = watchWithUrql(urql, { first: 1000 });
  await vi.waitFor(() => expect([...byApollo.errors, ...byUrql.errors].join()).toMatch(/1000.*1000/), 20_000);
});

test('an answer with errors is shown and leaves nothing in the one that follows, in both clients', async () => {
  const { options } = connection(w);
  const subscribed: { request: LiveRequest; sink: LiveSink }[] = [];
  const byHand: LiveTransport = {
    subscribe(request, sink) {
      subscribed.push({ request, sink });
      return () => {};
    },
  };
  const clients = [
    watchWithApollo(createLiveQueryApolloClient(options, byHand)),
    watchWithUrql(createUrqlClient({ ...options, more: [liveQueryExchange(byHand)] })),
  ];
  await vi.waitFor(() => expect(subscribed).toHaveLength(2));
  const errorsAfter = async (message?: string) => {
    for (const { request, sink } of subscribed) {
      const data = await ask<Record<string, unknown>>(w.ada, request.query, request.variables);
      sink.next(message === undefined ? { data } : { data: null, errors: [{ message }] });
    }
    await vi.waitFor(() => expect(clients.map(({ errors }) => errors.length)).toEqual(message ? [1, 1] : [0, 0]));
    return clients.flatMap(({ errors }) => errors).join();
  };
  expect(await errorsAfter()).toBe('');
  expect(await errorsAfter('Not now.')).toMatch(/Not now\..*Not now\./);
  expect(await errorsAfter()).toBe('');
  expect(clients.map(({ titles }) => titles)).toEqual([newestFirst, newestFirst]);
});

test('by POST a live query is an ordinary one', async () => {
  const query = `query ($project: ID!) @live { tasks(filter: { project: { id: { eq: $project } } }) { nodes { title } } }`;
  const { tasks } = await ask<{ tasks: { nodes: { title: string }[] } }>(w.ada, query, { project: w.project.id });
  expect(tasks.nodes.map(({ title }) => title)).toEqual(newestFirst);
});

test('what the README shows of the link and the exchange is what is tested here', async () => {
  const at = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');
  const shown = [...(await at('README.md')).matchAll(/^`(\S+)`:\n\n```typescript\n([\s\S]*?)^```$/gm)];
  expect(shown).toHaveLength(6);
  for (const [, file = '', lines = ''] of shown) expect(await at(file), file).toContain(lines);
});
