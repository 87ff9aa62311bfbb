/** Search: what it finds, in which order, and that a second process finds it as soon as a write has answered. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { MAX_SEARCH_TERMS, searchTerms } from '../../src/domain/tasks/search-query.js';
import { MAX_RANKED } from '../../src/domain/tasks/task.filter-inputs.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { eventually } from '../support/app.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';

const FIELDS: Record<string, string> = {
  createTask: 'task { id identifier }',
  updateTask: 'task { id }',
  moveTask: 'task { identifier }',
  deleteTask: 'deletedTaskId',
  createComment: 'comment { id }',
  updateComment: 'comment { id }',
  deleteComment: 'deletedCommentId',
};
const LIST = `query($filter: TaskFilter, $orderBy: [TaskOrder!], $first: Int, $after: String, $last: Int, $before: String) {
  tasks(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { title } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

let w: TwoProcesses;
let client: ReturnType<typeof postgresClient>;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
  client = postgresClient(w.here.databaseUrl, { max: 3 });
});
afterAll(async () => {
  await client?.end();
  await w?.close();
});

const list = async (variables: object) => (await w.read(LIST, { ...variables })).tasks;
const titles = async (search: string, variables: object = {}): Promise<string[]> =>
  (await list({ filter: { search }, ...variables })).nodes.map(({ title }: { title: string }) => title);
const create = async (title: string, values: object = {}) =>
  (await w.mutate('createTask', { projectId: w.f.ops.id, title, ...values })).task;
const comment = async (taskId: string, body: string) =>
  (await w.mutate('createComment', { taskId, body })).comment.id as string;

describe('a search', () => {
  beforeAll(async () => {
    await create('Mending the boilers');
    const kettle = await create('Kettle', { description: 'The boiler was mended twice. See OPS-4711, capacity 50 l.' });
    await comment(kettle.id, 'Zoë O’Neill-Smith paid');
    await comment(kettle.id, 'the invoice');
    await create('Invoices of The Who');
  });

  test.each<[string, string, string[]]>([
    ['forms of a word', 'mend boiler', ['Mending the boilers', 'Kettle']],
    ['the beginning of a word', 'capacit', ['Kettle']],
    ['a word in capitals', 'CAPACITY', ['Kettle']],
    ['words of the title and of a comment', 'kettle paid', ['Kettle']],
    ['words of two comments', 'zoë invoice', ['Kettle']],
    ['the beginning of a name with a hyphen', 'o’neill-smi', ['Kettle']],
    ['a phrase', '"boiler was mended"', ['Kettle']],
    ['no phrase in another order', '"boiler mending"', []],
    ['no phrase across comments', '"paid the invoice"', []],
    ['no task with an excluded word', 'boiler -kettle', ['Mending the boilers']],
    ['no task with a form of an excluded word', 'kettle -boilers', []],
    ['one of two words', 'capacity or who', ['Invoices of The Who', 'Kettle']],
    ['other words, whatever the articles', 'a kettle', ['Kettle']],
    ['stop words, if there are no others', 'the who', ['Invoices of The Who']],
    ['an identifier in a text', 'ops-4711', ['Kettle']],
    ['no identifier by its beginning', 'OPS-471', []],
    ['nothing without a word', "' \\ & | ! :* <-> ()", []],
  ])('finds %s', async (_, search, found) => {
    expect(await titles(search)).toEqual(found);
  });

  test('finds a task by its identifier, before tasks that mention it', async () => {
    const { identifier } = await create('Identified');
    await create('Mentions another', { description: `After ${identifier}` });
    expect(await titles(identifier.toLowerCase())).toEqual(['Identified', 'Mentions another']);
  });

  test('combines with other searches and conditions', async () => {
    const filter = { or: [{ search: 'kettle' }, { search: 'boilers' }], not: { search: 'who' } };
    const { nodes } = await list({ filter: { ...filter, title: { startsWith: 'K' } } });
    expect(nodes).toEqual([{ title: 'Kettle' }]);
  });

  test('of too many words is refused', async () => {
    const search = 'word '.repeat(MAX_SEARCH_TERMS + 1);
    const { errors } = await w.here.ask(LIST, { as: w.f.ada.id, variables: { filter: { search } } });
    expect(errors?.[0]).toMatchObject({
      message: `filter.search: expected at most ${MAX_SEARCH_TERMS} words`,
      extensions: { code: 'BAD_USER_INPUT', argument: 'filter.search' },
    });
  });
});

test('a search is read into alternatives of words and phrases', () => {
  const texts = (search: string) =>
    searchTerms(search).map((terms) => terms.map(({ text, kind, excluded }) => [text, kind, excluded].join()));
  expect(texts('a "big kettle" -no or OR "unclosed -x')).toEqual([
    ['big kettle,phrase,false'],
    ['unclosed -x,phrase,false'],
  ]);
  expect(texts('-"x y" z-1')).toEqual([['x y,phrase,true', 'z-1,word,false']]);
});

describe('what another process writes is found at once', () => {
  test('in comments that come, change and go', async () => {
    const task = await create('Commented');
    expect(await titles('zeppelin')).toEqual([]);
    const id = await comment(task.id, 'A zeppelin');
    expect(await titles('zeppelin')).toEqual(['Commented']);
    await w.mutate('updateComment', { id, body: 'A balloon' });
    expect(await titles('zeppelin')).toEqual([]);
    expect(await titles('balloon')).toEqual(['Commented']);
    await w.mutate('deleteComment', { id });
    expect(await titles('balloon')).toEqual([]);
  });

  test('in titles and descriptions, and by the new identifier of a task that moves', async () => {
    const task = await create('Before', { description: 'Submarine' });
    expect(await titles('submarine')).toEqual(['Before']);
    await w.mutate('updateTask', { id: task.id, title: 'Periscope', description: null });
    expect(await titles('submarine')).toEqual([]);
    expect(await titles('perisc')).toEqual(['Periscope']);
    const moved = await w.mutate('moveTask', { id: task.id, projectId: w.f.web.id });
    expect(await titles(task.identifier)).toEqual([]);
    expect(await titles(moved.task.identifier)).toEqual(['Periscope']);
    await w.mutate('deleteTask', { id: task.id });
    expect(await titles('perisc')).toEqual([]);
  });

  test('in comments that two transactions write on one task at the same time', async () => {
    const task = await create('Twice');
    const insert = (body: string) =>
      `insert into comments (id, task_id, author_id, body)
       values (gen_random_uuid(), '${toUuid(task.id)}', '${toUuid(w.f.ada.id)}', '${body}')`;
    let second: Promise<unknown> | undefined;
    await client.begin(async (tx) => {
      await tx.unsafe(insert('Firstborn'));
      second = client.unsafe(insert('Secondborn')).execute();
      await eventually(async () => {
        const waiting = await client`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        expect(waiting).toHaveLength(1);
      });
    });
    await second;
    const [document] = await client`select words::text from task_documents where task_id = ${toUuid(task.id)}`;
    expect(document?.['words']).toMatch(/'firstborn'.*'secondborn'/);
  });
});

describe('without orderBy', () => {
  const pages = async (search: string, backward: boolean): Promise<string[]> => {
    const found: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page = backward ? { last: 2, before: cursor } : { first: 2, after: cursor };
      const { nodes, pageInfo } = await list({ filter: { search }, ...page });
      const names = nodes.map(({ title }: { title: string }) => title);
      found.splice(backward ? 0 : found.length, 0, ...names);
      if (!(backward ? pageInfo.hasPreviousPage : pageInfo.hasNextPage)) return found;
      cursor = backward ? pageInfo.startCursor : pageInfo.endCursor;
    }
  };

  test('titles come before descriptions and comments, and newer tasks before older ones, page by page', async () => {
    await create('Lantern');
    const commented = await create('By comment');
    await comment(commented.id, 'lantern');
    await create('By description', { description: 'A lantern' });
    await create('LANTERN');
    await create('By description, too', { description: 'A lantern' });
    const best = ['LANTERN', 'Lantern', 'By description, too', 'By description', 'By comment'];
    expect(await titles('lanter')).toEqual(best);
    expect(await pages('lanter', false)).toEqual(best);
    expect(await pages('lanter', true)).toEqual(best);
    expect(await titles('lanter', { orderBy: [{ field: 'TITLE', direction: 'ASC' }] })).toEqual([...best].sort());
  });

  test('a list has the newest matches only, with orderBy all of them', async () => {
    const tasks = MAX_RANKED + 5;
    await w.here.transactor.transact((tx) =>
      tx.execute(sql`
        insert into tasks (id, project_id, number, title, creator_id, created_at)
        select gen_random_uuid(), ${toUuid(w.f.web.id)}, 10000 + n, 'Numerous ' || n, ${toUuid(w.f.ada.id)},
          timestamptz '2026-01-01' + n * interval '1 s' from generate_series(1, ${tasks}::int) n`),
    );
    const last = { filter: { search: 'numerous' }, last: 1 };
    expect(await list(last)).toMatchObject({ totalCount: tasks, nodes: [{ title: 'Numerous 6' }] });
    const all = await list({ ...last, orderBy: [{ field: 'CREATED_AT' }] });
    expect(all).toMatchObject({ totalCount: tasks, nodes: [{ title: 'Numerous 1' }] });
  });
});

test('the longest texts are stored, whatever their words are', async () => {
  const words = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => String.fromCodePoint(0x20000 + ((from + i) % 40_000))).join(' ');
  const description = words(0, 32_768);
  const task = await create('Longest', { description });
  const hyphenated = Array.from({ length: 6500 }, (_, i) => `x${i.toString(36)}-y${i}`).join(' ');
  for (const body of [hyphenated.slice(0, 65_536), words(20_000, 32_768)]) await comment(task.id, body);
  expect(await titles(`longest ${description.slice(0, 2)}`)).toEqual(['Longest']);
});

describe('a text or search that is costly to parse', () => {
  const long = (part: string) =>
    part
      .repeat(65_536 / part.length + 1)
      .slice(0, 65_535)
      .trim();

  test.each([
    'a_',
    '~/',
    '<!-- ',
    '1_',
    '/a/a',
    'a.b.c.',
    'a@b',
    '-1-1',
    '&amp;',
    'http://a/a',
    'a:a',
    '1',
    '.',
    './',
    '/.',
    'a-1-',
    'a-b.',
  ])('%s again and again is parsed in less than a second', async (part) => {
    const parsed = client.begin(async (tx) => {
      await tx`set local statement_timeout = '1s'`;
      return tx`select length(text_words(${long(part)}, 'C')) as length`;
    });
    await expect(parsed).resolves.toHaveLength(1);
  });

  test('identifiers, e-mail addresses, apostrophes and umlauts are found beside it', async () => {
    const texts = "ZZ-42 zoë.müller@example.com d'Artagnan _under_";
    await create('Costly', { description: `${texts} ${long('a_').slice(0, 60_000)}` });
    for (const search of ['zz-42', "d'artag", 'zoë', 'zoë.müller@example.com', 'under']) {
      expect(await titles(`costly ${search}`)).toEqual(['Costly']);
    }
  });

  test('a new title does not parse comments, and a new comment only itself', async () => {
    const task = await create('Much discussed');
    await client.unsafe(`
      insert into comments (id, task_id, author_id, body, created_at)
      select gen_random_uuid(), '${toUuid(task.id)}', '${toUuid(w.f.ada.id)}', 'Remark ' || n || repeat(' word' || n, 300),
        timestamptz '2026-01-01' + n * interval '1 s' from generate_series(1, 60) n`);
    await client`update task_documents set comment_words = ${`'kept':1`}::text::tsvector where task_id = ${toUuid(task.id)}`;
    await w.mutate('updateTask', { id: task.id, title: 'Renamed' });
    await comment(task.id, 'Afterwards');
    expect(await titles('renamed kept afterwards')).toEqual(['Renamed']);
    await w.mutate('deleteTask', { id: task.id });
  });

  test('comments count from the newest on, up to 256 KiB', async () => {
    const task = await create('Long discussion');
    const remark = (n: number) => comment(task.id, `remark${n} ${'word '.repeat(12_000)}`);
    for (let n = 1; n <= 6; n++) await remark(n);
    expect(await titles('remark6 remark3')).toEqual(['Long discussion']);
    expect(await titles('remark2')).toEqual([]);
  });

  test('only the last part of a word is a beginning, if it has 2 characters', async () => {
    const rows = await client`
      select prefix_query('w,w')::text as short, prefix_query('ab,cd')::text as last, prefix_query('neill-smi')::text as hyphen`;
    expect(rows[0]).toEqual({
      short: `'w' <-> 'w'`,
      last: `'ab' <-> 'cd':*`,
      hyphen: `'neill-smi':* <-> 'neill' <-> 'smi':*`,
    });
  });

  test.each(['w,'.repeat(99), `"${'w '.repeat(21)}"`])('a search of too many parts is refused: %s', async (search) => {
    const { errors } = await w.here.ask(LIST, { as: w.f.ada.id, variables: { filter: { search } } });
    expect(errors?.[0]).toMatchObject({ message: `filter.search: expected at most ${MAX_SEARCH_TERMS} words` });
  });
});

test('documents that a migration writes are those that triggers keep', async () => {
  const documents = () =>
    client`select task_id, project_id, comment_words::text, words::text from task_documents order by task_id`;
  const kept = await documents();
  const deleted = await client`delete from task_documents where task_id in (select id from tasks where number % 2 = 0)`;
  expect(deleted.count).toBeGreaterThan(0);
  await client.unsafe('call fill_task_documents()');
  expect([...(await documents())]).toEqual([...kept]);
});
