/** The API on a port, with a project of seven tasks, and a fetch that counts. */
import { afterAll, beforeAll } from 'vitest';
import { type Fixture, fixture } from '../../../test/support/fixture.js';
import { type LiveApp, liveApp } from '../../../test/support/live.js';

const TASKS = 7;

/** Titles of OPS's tasks, the newest first: the order of the server. */
export const newestFirst = Array.from({ length: TASKS }, (_, i) => `Task ${TASKS - i}`);

export interface World {
  readonly app: LiveApp;
  readonly f: Fixture;
}

/** Set before the first test of a file. */
export function world(): World {
  const world = {} as { app: LiveApp; f: Fixture };
  beforeAll(async () => {
    world.app = await liveApp();
    world.f = await fixture(world.app, TASKS);
  });
  afterAll(() => world.app?.close());
  return world;
}

/** As a client of ada's needs it; `requests` counts what went over the wire. */
export async function connection({ app, f }: World) {
  const counted = { requests: 0 };
  const counting: typeof fetch = (...request) => {
    counted.requests += 1;
    return fetch(...request);
  };
  return { counted, options: { url: app.url, token: await app.tokenOf(f.ada.id), fetch: counting } };
}

/** OPS-n as the fixture wrote it. */
export function opsTask({ f }: World, number: number): { readonly id: string; readonly title: string } {
  const task = f.opsTasks[number - 1];
  if (task === undefined) throw new Error(`expected a number from 1 to ${TASKS}, not ${number}`);
  return task;
}

/** Someone else changes the task first. */
export async function bobRenames({ app, f }: World, id: string, title: string): Promise<void> {
  const { data } = await app.ask(
    'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { code } } }',
    { as: f.bob.id, variables: { input: { id, title } } },
  );
  if (data.updateTask.errors.length > 0) throw new Error('bob may not rename it');
}
