/** A database gets another id while processes run: a migration changes a trigger, or Postgres starts again. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readIdentity } from '../../src/engine/postgres/database-identity.js';
import { rename, served, taskOf, type World, world } from './world.js';

let w: World;
beforeEach(async () => {
  w = await world({ nearCacheBytes: 16 * 1024 * 1024 });
});
afterEach(() => w?.close());

test('a write made after the database got another id is seen at once by a process that knows only the id before', async () => {
  const writer = await w.second();
  const viewer = w.f.ada.id;
  const id = w.f.opsTasks[0]?.id as string;
  await served(w.app, id, viewer);
  await w.app.relay.stop(); // this process learns nothing of the other id
  await w.sql`alter table labels disable trigger cache_insert`;
  await w.sql`alter table labels enable always trigger cache_insert`;
  await readIdentity(w.sql); // as any relay does
  const version = await rename(writer, { id, title: 'Written under the other id' }, viewer);
  expect(await taskOf(w.app, id, viewer)).toEqual({ title: 'Written under the other id', version });
});
