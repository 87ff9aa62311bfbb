/**
 * Parts of answers: an item of a list is joined from memory only while everything that was read for it holds, and only for its viewer
 * and its variables. `FUZZ_SEED` for the same random writes again.
 */
import { afterAll, afterEach, beforeAll, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { toUuid } from '../../src/db/ids.js';
import { Parts } from '../../src/engine/cache/part-cache.js';
import { randomOf } from '../chaos/random.js';
import { dataOf } from '../support/app.js';
import { corpus } from '../support/corpus.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

const SEED = Number(process.env.FUZZ_SEED || Date.now() % 1_000_000);
const ROUNDS = 60;
const ITEMS = `query Items($key: String!, $comments: Int = 2) { project(key: $key) { tasks(first: 10) { nodes {
  id title version viewerCanUpdate assignee { name } project { name } labels { nodes { name } }
  comments(first: $comments) { nodes { body author { name } } } } } } }`;
/** Without a field whose resolver itself waits. */
const PLAIN = ITEMS.replace(/comments\(first.*\} \} \} \}/, '} } } }').replace(', $comments: Int = 2', '');

/** With memory. */
let reader: LiveApp;
/** Another process, without. */
let writer: LiveApp;
let f: Fixture;
let found: MockInstance<Parts['find']>;
let unlike = 0;

beforeAll(async () => {
  reader = await liveApp({ nearCacheBytes: 16 * 1024 * 1024 });
  writer = await liveApp({ databaseUrl: reader.databaseUrl, group: reader.group, nearCacheBytes: 0 });
  f = await fixture(reader, 5);
  found = vi.spyOn(Parts.prototype, 'find');
});
afterAll(async () => {
  found?.mockRestore();
  await writer?.close();
  await reader?.close();
});
afterEach(() => void found.mockClear());

/** The text of the answer, which no process has kept as a whole. */
async function answerOf(app: LiveApp, query: string, variables: object = { key: 'OPS' }, as: UserId = f.ada.id) {
  const authorization = `Bearer ${await app.tokenOf(as)}`;
  const response = await fetch(app.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query, variables, unlike: ++unlike }),
  });
  return response.text();
}

/** How many items were found, and how many were looked for. */
function counts(): readonly [found: number, sought: number] {
  const results = found.mock.results.map(({ value }) => value !== undefined);
  found.mockClear();
  return [results.filter(Boolean).length, results.length];
}

/** Until all of it comes from memory. */
async function warm(query: string, variables?: object, as?: UserId): Promise<void> {
  await expect
    .poll(async () => {
      found.mockClear();
      await answerOf(reader, query, variables, as);
      const [hits, sought] = counts();
      return sought > 0 && hits === sought;
    })
    .toBe(true);
}

async function mutate(name: string, input: object): Promise<void> {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($i: ${type}!) { ${name}(input: $i) { errors { message } } }`;
  expect(dataOf(await writer.ask(document, { as: f.ada.id, variables: { i: input } }))[name]).toEqual({ errors: [] });
}

const task = (i: number) => f.opsTasks[i]?.id as string;
/** The API changes no such name. */
const rename = (table: 'users' | 'labels' | 'projects', id: string, name: string) =>
  writer.transactor.transact((tx) =>
    tx.execute(`update ${table} set name = '${name}' where id = '${toUuid(id as UserId)}'`),
  );

/** What another process writes. */
const WRITES: Record<string, () => Promise<unknown>> = {
  'a title': () => mutate('updateTask', { id: task(0), title: `Title ${unlike}` }),
  'another assignee': () => mutate('updateTask', { id: task(1), assigneeId: f.vic.id }),
  'a label removed': () => mutate('removeLabels', { taskId: task(2), labelIds: [f.bug.id] }),
  'the name of an assignee': () => rename('users', f.ada.id, `Ada ${unlike}`),
  'the name of a label': () => rename('labels', f.docs.id, `docs${unlike}`),
  'the name of the project': () => rename('projects', f.ops.id, `Ops ${unlike}`),
};

describe('an item of a list', () => {
  test.each(Object.entries(WRITES))(
    'is made again when another process has written %s, and the others are joined',
    async (_, write) => {
      await warm(PLAIN);
      const before = await answerOf(reader, PLAIN);
      await write();
      const after = await answerOf(reader, PLAIN);
      expect(after).not.toBe(before);
      expect(after).toBe(await answerOf(writer, PLAIN));
    },
  );

  test('that no write touched is joined', async () => {
    await warm(PLAIN);
    await mutate('updateTask', { id: task(0), title: `Title ${unlike}` });
    await answerOf(reader, PLAIN); // loads the task that was written
    counts();
    await answerOf(reader, PLAIN);
    const [hits, sought] = counts();
    expect(sought).toBe(5);
    expect(hits).toBeGreaterThanOrEqual(4);
  });

  test('belongs to its viewer', async () => {
    for (const as of [f.ada.id, f.vic.id]) await warm(PLAIN, undefined, as);
    for (const as of [f.ada.id, f.vic.id]) {
      expect(await answerOf(reader, PLAIN, undefined, as)).toBe(await answerOf(writer, PLAIN, undefined, as));
    }
    expect(await answerOf(reader, PLAIN, undefined, f.ada.id)).not.toBe(
      await answerOf(reader, PLAIN, undefined, f.vic.id),
    );
  });

  test('is that of the variables below it', async () => {
    const query =
      'query($with: Int!) { project(key: "OPS") { tasks(first: 3) { nodes { id labels(first: $with) { nodes { name } } } } } }';
    for (const variables of [{ with: 1 }, { with: 2 }]) await warm(query, variables);
    for (const variables of [{ with: 1 }, { with: 2 }]) {
      expect(await answerOf(reader, query, variables)).toBe(await answerOf(writer, query, variables));
    }
  });

  test('with a field that is read by a resolver which waits first is not kept without that', async () => {
    await warm(PLAIN); // the tasks have been shown, their comments have not
    for (let i = 0; i < 4; i++) await answerOf(reader, ITEMS);
    await mutate('createComment', { taskId: task(0), body: 'Said' });
    expect(await answerOf(reader, ITEMS)).toBe(await answerOf(writer, ITEMS));
    expect(await answerOf(reader, ITEMS)).toContain('"Said"');
  });
});

test(`after random writes the items are those of a process without memory, seed ${SEED}`, async () => {
  const random = randomOf(SEED);
  const queries = corpus(f).filter(({ query }) => query.includes('nodes'));
  const writes = Object.values(WRITES).slice(0, 2);
  const more = [
    () => mutate('updateTask', { id: random.pick(f.opsTasks).id, title: `T${random.integer(100)}` }),
    () => mutate('updateTask', { id: random.pick(f.opsTasks).id, assigneeId: random.pick([f.ada.id, f.bob.id]) }),
    () => mutate('createComment', { taskId: random.pick(f.opsTasks).id, body: `C${random.integer(100)}` }),
    () => rename('labels', f.bug.id, `bug${random.integer(1000)}`),
    () => rename('users', f.bob.id, `Bob ${random.integer(1000)}`),
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const { query, variables = {} } = random.pick(queries);
    for (let time = 0; time < 3; time++) await answerOf(reader, query, variables); // items are kept of rows shown before
    await random.pick([...writes, ...more])();
    for (let time = 0; time < 2; time++) {
      const [got, expected] = [await answerOf(reader, query, variables), await answerOf(writer, query, variables)];
      expect(got, query).toBe(expected);
    }
  }
});
