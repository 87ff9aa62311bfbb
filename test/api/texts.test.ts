/** What texts the API takes, refuses and finds again. The rules alone: test/text.test.ts. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Id, newId } from '../../src/db/ids.js';
import { labels } from '../../src/domain/labels/label.table.js';
import { taskLabels } from '../../src/domain/tasks/task.table.js';
import { TEXTS } from '../../src/std/text.js';
import { headersFor } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const FIELDS: Record<string, string> = {
  createTask: 'task { id title description }',
  updateTask: 'task { id title description version labels(first: 100) { totalCount } }',
  moveTask: 'task { identifier labels(first: 100) { totalCount } }',
  addLabels: 'task { id }',
  removeLabels: 'task { id }',
  createComment: 'comment { id body }',
  updateComment: 'comment { id body }',
  createLabel: 'label { id name description }',
  updateLabel: 'label { id name description }',
  createProject: 'project { id name description }',
  updateProject: 'project { id name description }',
  addMember: 'memberEdge { role node { handle } }',
};
/** Each mutation that stores a text, the field, and what else the mutation needs. */
const LINES = [
  ['createTask', 'title', () => ({ projectId: w.f.ops.id })],
  ['updateTask', 'title', () => ({ id: w.f.opsTasks[0]?.id })],
  ['createLabel', 'name', () => ({ projectId: w.f.ops.id })],
  ['updateLabel', 'name', () => ({ id: w.f.docs.id })],
  ['createProject', 'name', () => ({ key: newKey() })],
  ['updateProject', 'name', () => ({ id: w.f.web.id })],
] as const;
const BLOCKS = [
  ['createTask', 'description', () => ({ projectId: w.f.ops.id, title: 'Described' })],
  ['updateTask', 'description', () => ({ id: w.f.opsTasks[0]?.id })],
  ['createComment', 'body', () => ({ taskId: w.f.opsTasks[0]?.id })],
  ['updateComment', 'body', () => ({ id: commentId })],
  ['createLabel', 'description', () => ({ projectId: w.f.ops.id, name: newKey() })],
  ['updateLabel', 'description', () => ({ id: w.f.docs.id })],
  ['createProject', 'description', () => ({ key: newKey(), name: 'Described' })],
  ['updateProject', 'description', () => ({ id: w.f.web.id })],
] as const;
const LIMITS: Record<string, { maxChars: number }> = {
  'Task.title': TEXTS.taskTitle,
  'Task.description': TEXTS.taskDescription,
  'Comment.body': TEXTS.commentBody,
  'Label.name': TEXTS.labelName,
  'Label.description': TEXTS.labelDescription,
  'Project.name': TEXTS.projectName,
  'Project.description': TEXTS.projectDescription,
};
const HALF = '\ud83d';

let w: TwoProcesses;
let commentId: string;
let keys = 0;
const newKey = () => `K${++keys}`;

beforeAll(async () => {
  w = await twoProcesses(FIELDS);
  commentId = (await w.mutate('createComment', { taskId: w.f.opsTasks[0]?.id, body: 'First', idempotencyKey: 'c' }))
    .comment.id;
  await w.mutate('updateComment', { id: commentId, body: 'Second' });
});
afterAll(() => w?.close());

/** The object that a mutation answered. */
const objectOf = (payload: Record<string, unknown>) =>
  Object.entries(payload).find(([name]) => name !== 'errors')?.[1] as Record<string, unknown>;

describe.each(LINES)('%s(%s)', (mutation, field, rest) => {
  const { maxChars } = LIMITS[`${mutation.replace(/^[a-z]+/, '')}.${field}`] as { maxChars: number };
  const set = (text: string) => w.mutate(mutation, { ...rest(), [field]: text });

  test('counts characters, not UTF-16 code units', async () => {
    const longest = `${mutation[0]}${'😀'.repeat(maxChars - 1)}`; // label names differ by mutation
    const payload = await set(longest);
    expect(payload.errors).toEqual([]);
    expect(objectOf(payload)[field]).toBe(longest);
    expectRefusal(await set(`${longest}x`), 'ValidationError', field);
  });

  test.each([
    ['half a surrogate pair', `a${HALF}`],
    ['a line break of Unicode', 'a\u0085b'],
    ['a vertical tab', 'a\vb'],
    ['a line separator', 'a\u2028b'],
    ['a line feed', 'a\nb'],
    ['an escape', 'a\u001bb'],
    ['a right-to-left override', 'a\u202eb'],
    ['nothing but zero width spaces', '\u200b\u200b'],
    ['nothing but a word joiner and a soft hyphen', '\u2060\u00ad'],
    ['nothing but a Hangul filler', '\u3164'],
    ['nothing but a control character', '\u0001'],
  ])('refuses %s', async (_, text) => {
    expectRefusal(await set(text), 'ValidationError', field);
  });

  test('stores the composed form without what shows nothing', async () => {
    const payload = await set(` cafe\u0301\u200b ${mutation} `);
    expect(payload.errors).toEqual([]);
    expect(objectOf(payload)[field]).toBe(`café ${mutation}`);
  });
});

describe.each(BLOCKS)('%s(%s)', (mutation, field, rest) => {
  const { maxChars } = LIMITS[`${mutation.replace(/^[a-z]+/, '')}.${field}`] as { maxChars: number };
  const set = (text: string) => w.mutate(mutation, { ...rest(), [field]: text });

  test('counts characters, not UTF-16 code units', async () => {
    const longest = `${mutation[0]}${'😀'.repeat(maxChars - 1)}`; // label names differ by mutation
    const payload = await set(longest);
    expect(payload.errors).toEqual([]);
    expect(objectOf(payload)[field]).toBe(longest);
    expectRefusal(await set(`${longest}x`), 'ValidationError', field);
  });

  test('refuses half a surrogate pair, and stores the composed form with line feeds', async () => {
    expectRefusal(await set(`a${HALF}b`), 'ValidationError', field);
    const payload = await set('cafe\u0301\r\n\tterrasse');
    expect(payload.errors).toEqual([]);
    expect(objectOf(payload)[field]).toBe('café\n\tterrasse');
  });
});

test('half a surrogate pair is refused in variables and in the document, and never becomes another character', async () => {
  const names = () => w.read('{ project(key: "OPS") { labels(first: 100) { nodes { name } } } }');
  const before = await names();
  const document = (text: string) =>
    `mutation { createLabel(input: { projectId: "${w.f.ops.id}", name: "${text}" }) { label { id } errors { path } } }`;
  // Escaped in the document, and as a code unit of the document's own.
  for (const text of ['x\\ud800', 'x\\u{d800}', 'x\ud800']) {
    const { errors } = await w.here.ask(document(text), { as: w.f.ada.id });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'GRAPHQL_PARSE_FAILED' });
  }
  for (const half of ['x\ud800', 'x\udbff', 'x\udfff']) {
    expectRefusal(await w.mutate('createLabel', { projectId: w.f.ops.id, name: half }), 'ValidationError', 'name');
  }
  expect(await names()).toEqual(before);
});

test('a body that is not UTF-8 is refused, not decoded with replacement characters', async () => {
  const body = JSON.stringify({ query: '{ tasks(filter: { title: { eq: "a_b" } }) { totalCount } }' });
  const [before, after] = body.split('_').map((part) => Buffer.from(part));
  const send = async (bytes: number[]) =>
    w.here.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { ...(await headersFor({ as: w.f.ada.id })), 'content-type': 'application/json' },
      payload: Buffer.concat([before as Buffer, Buffer.from(bytes), after as Buffer]),
    });
  // Half a surrogate pair as some encoders write it; Latin-1; a character that is cut.
  for (const bytes of [[0xed, 0xa0, 0xbd], [0xe9], [0xf0, 0x9f, 0x98]]) {
    const response = await send(bytes);
    expect([response.statusCode, response.json().errors]).toMatchObject([
      400,
      [{ message: 'expected a body in UTF-8', extensions: { code: 'BAD_REQUEST' } }],
    ]);
  }
  expect((await send([...Buffer.from('é😀')])).json().data).toEqual({ tasks: { totalCount: 0 } });
});

test('two idempotency keys of half a surrogate pair are refused, not taken for one key', async () => {
  const input = { projectId: w.f.ops.id, title: 'Once' };
  for (const half of ['\ud800', '\ud801']) {
    const payload = await w.mutate('createTask', { ...input, idempotencyKey: `key ${half}` });
    expectRefusal(payload, 'ValidationError', 'idempotencyKey');
  }
  // A key is the client's: spellings that are equivalent are two keys.
  const composed = await w.mutate('createTask', { ...input, idempotencyKey: 'caf\u00e9' });
  const decomposed = await w.mutate('createTask', { ...input, idempotencyKey: 'cafe\u0301' });
  expect(composed.task.id).not.toBe(decomposed.task.id);
  expect((await w.mutate('createTask', { ...input, idempotencyKey: 'caf\u00e9' })).task.id).toBe(composed.task.id);
});

test('a task that is created again with the same key and another spelling of the same texts is the same task', async () => {
  const input = { projectId: w.f.ops.id, idempotencyKey: 'spelling' };
  const first = await w.mutate('createTask', { ...input, title: 'Caf\u00e9', description: 'a\nb' });
  const again = await w.mutate('createTask', { ...input, title: ' Cafe\u0301', description: 'a\r\nb' });
  expect(again).toEqual(first);
});

test('two spellings of one word are one label', async () => {
  expect((await w.mutate('createLabel', { projectId: w.f.ops.id, name: 'Zoë' })).errors).toEqual([]);
  for (const name of ['Zoe\u0308', 'Zo\u200bë', ' Zoë']) {
    expectRefusal(await w.mutate('createLabel', { projectId: w.f.ops.id, name }), 'ValidationError', 'name');
  }
});

describe('filters', () => {
  const TITLES = 'query($filter: TaskFilter!) { tasks(filter: $filter) { nodes { title } } }';
  const found = async (filter: object): Promise<string[]> =>
    (await w.read(TITLES, { filter })).tasks.nodes.map(({ title }: { title: string }) => title);
  const composed = 'Crème brûlée 한국어';
  const decomposed = composed.normalize('NFD');

  beforeAll(async () => {
    const { label } = await w.mutate('createLabel', { projectId: w.f.ops.id, name: decomposed });
    const created = await w.mutate('createTask', {
      projectId: w.f.ops.id,
      title: decomposed,
      description: `${decomposed}\r\nsugar`,
      labelIds: [label.id],
    });
    expect(created.task.title).toBe(composed);
  });

  test.each<[string, (text: string) => object]>([
    ['title.eq', (text) => ({ title: { eq: text } })],
    ['title.in', (text) => ({ title: { in: [text] } })],
    ['title.contains', (text) => ({ title: { contains: text } })],
    ['title.startsWith', (text) => ({ title: { startsWith: text } })],
    ['description.contains', (text) => ({ description: { contains: text } })],
    ['search', (text) => ({ search: text })],
    ['labels.some.name.eq', (text) => ({ labels: { some: { name: { eq: text } } } })],
    ['labels.some.name.in', (text) => ({ labels: { some: { name: { in: ['x', text] } } } })],
  ])('%s finds a task by either spelling', async (_, filter) => {
    expect(await found(filter(composed))).toEqual([composed]);
    expect(await found(filter(decomposed))).toEqual([composed]);
  });

  test('a description is found with the line ends of any system', async () => {
    for (const text of ['brûlée 한국어\nsugar', 'brûlée 한국어\r\nsugar']) {
      expect(await found({ description: { contains: text } })).toEqual([composed]);
    }
  });

  test.each<[string, object]>([
    ['filter.title.eq', { title: { eq: HALF } }],
    ['filter.title.contains', { title: { contains: `a${HALF}` } }],
    ['filter.description.startsWith', { description: { startsWith: HALF } }],
    ['filter.title.nin', { title: { nin: ['a', HALF] } }],
    ['filter.search', { search: HALF }],
    ['filter.labels.some.name.eq', { labels: { some: { name: { eq: HALF } } } }],
    ['filter.assignee.handle.in', { assignee: { handle: { in: ['ada', HALF] } } }],
    ['filter.project.key.eq', { project: { key: { eq: HALF } } }],
    ['filter.title.eq', { title: { eq: 'a\0' } }],
    ['filter.search', { search: '\u200b' }],
    ['filter.title.contains', { title: { contains: '😀'.repeat(501) } }],
    ['filter.search', { search: '😀'.repeat(201) }],
    ['filter.title.contains', { title: { contains: `a${'\u0301'.repeat(31)}` } }],
  ])('%s of a text that cannot be compared is refused by its name', async (argument, filter) => {
    const { errors } = await w.here.ask(TITLES, { as: w.f.ada.id, variables: { filter } });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', argument });
  });

  test('limits of filters count characters', async () => {
    expect(await found({ title: { contains: '😀'.repeat(499) } })).toContain(`c${'😀'.repeat(499)}`);
    expect(await found({ title: { contains: '😀'.repeat(500) } })).toEqual([]);
    expect(await found({ search: '😀'.repeat(200) })).toEqual([]);
  });

  test('a handle of 64 characters beyond the BMP is found', async () => {
    const handle = '😀'.repeat(64);
    await w.here.transactor.transact((tx) => tx.execute(sql`update users set handle = ${handle} where handle = 'eve'`));
    const { memberEdge } = await w.mutate('addMember', { projectId: w.f.web.id, handle, role: 'MEMBER' });
    expect(memberEdge.node.handle).toBe(handle);
    await w.mutate('updateTask', { id: w.f.webTask.id, assigneeId: w.f.eve.id });
    expect(await found({ assignee: { handle: { eq: handle } } })).toEqual([w.f.webTask.title]);
  });
});

describe('a text in which nothing is visible', () => {
  test.each(['', '  \n\t', '\u200b'])('%j as a description is no description', async (description) => {
    const title = `No description of length ${description.length}`;
    const { task, errors } = await w.mutate('createTask', { projectId: w.f.ops.id, title, description });
    expect(errors).toEqual([]);
    expect(task.description).toBeNull();
    const query = 'query($filter: TaskFilter!) { tasks(filter: $filter) { totalCount nodes { title } } }';
    const filter = { title: { eq: title }, description: { null: true } };
    expect((await w.read(query, { filter })).tasks).toEqual({ totalCount: 1, nodes: [{ title }] });
    expect((await w.read(query, { filter: { ...filter, description: { null: false } } })).tasks.totalCount).toBe(0);

    const text = await w.mutate('updateTask', { id: task.id, description: 'Text' });
    expect(text.task.description).toBe('Text');
    const cleared = await w.mutate('updateTask', { id: task.id, description });
    expect(cleared.task.description).toBeNull();
    const again = await w.mutate('updateTask', { id: task.id, description });
    expect(again.task.version).toBe(cleared.task.version); // nothing to change
  });

  test('is no description of labels and projects either, and no comment', async () => {
    const { label } = await w.mutate('createLabel', { projectId: w.f.ops.id, name: 'plain', description: '' });
    expect(label.description).toBeNull();
    const { project } = await w.mutate('createProject', { key: newKey(), name: 'Plain', description: ' ' });
    expect(project.description).toBeNull();
    const comment = await w.mutate('createComment', { taskId: w.f.webTask.id, body: ' \u200b\n' });
    expectRefusal(comment, 'ValidationError', 'body');
  });
});

test('description comparisons combine with null as SQL combines them', async () => {
  const { project } = await w.mutate('createProject', { key: newKey(), name: 'Nulls' });
  const texts = [null, 'a', 'ab', 'b'];
  for (const description of texts) await w.mutate('createTask', { projectId: project.id, title: 'T', description });
  const QUERY = 'query($filter: TaskFilter!) { tasks(filter: $filter) { totalCount nodes { description } } }';
  const fits: Record<string, (text: string | null) => boolean> = {
    'null: true': (text) => text === null,
    'null: false': (text) => text !== null,
    'eq: "a"': (text) => text === 'a',
    'eq: ""': () => false,
    'neq: "a"': (text) => text !== 'a',
    'in: []': () => false,
    'in: ["a", "b"]': (text) => text === 'a' || text === 'b',
    'nin: ["a", "b"]': (text) => text !== 'a' && text !== 'b',
    'containsIgnoreCase: "B"': (text) => text?.includes('b') ?? false,
    'contains: ""': (text) => text !== null,
    'startsWithIgnoreCase: "A"': (text) => text?.startsWith('a') ?? false,
  };
  const operators = Object.keys(fits);
  for (const first of operators) {
    for (const second of operators.filter((other) => other.split(':')[0] !== first.split(':')[0])) {
      for (const negated of [false, true]) {
        const comparison = `{ description: { ${first}, ${second} } }`;
        const filter = `{ project: { id: { eq: "${project.id}" } }, ${negated ? `not: ${comparison}` : comparison.slice(1, -1)} }`;
        const document = QUERY.replace('query($filter: TaskFilter!)', '').replace('$filter', filter);
        const { totalCount, nodes } = (await w.read(document)).tasks;
        const expected = texts.filter((text) => (fits[first]?.(text) && fits[second]?.(text)) !== negated);
        expect([filter, nodes.map((node: { description: string | null }) => node.description).sort()]).toEqual([
          filter,
          [...expected].sort(),
        ]);
        expect(totalCount).toBe(expected.length);
      }
    }
  }
});

describe('what is over a limit', () => {
  const sixty = (projectId: Id<'project'>, prefix: string) =>
    Array.from({ length: 60 }, (_, i) => ({
      id: newId('label'),
      projectId,
      name: `${prefix} ${i}`,
      color: '#112233',
    }));

  /** A task with 60 labels, as imports once made them. */
  async function withSixtyLabels(prefix: string): Promise<{ id: Id<'task'>; labelIds: string[] }> {
    const { task } = await w.mutate('createTask', { projectId: w.f.web.id, title: 'Many labels' });
    const many = sixty(w.f.web.id, prefix);
    await w.here.transactor.transact(async (tx) => {
      await tx.insert(labels).values(many);
      await tx
        .insert(taskLabels)
        .values(many.map(({ id, projectId }) => ({ projectId, taskId: task.id, labelId: id })));
    });
    return { id: task.id, labelIds: many.map(({ id }) => id) };
  }

  test('a task with 60 labels can keep them and lose some, but gain none', async () => {
    const { id, labelIds } = await withSixtyLabels('many');
    const count = async () =>
      (await w.read('query($id: ID!) { task(id: $id) { labels { totalCount } } }', { id })).task.labels.totalCount;
    expect(await count()).toBe(60);
    const other = (await w.mutate('createLabel', { projectId: w.f.web.id, name: `other ${id}` })).label.id;

    expectRefusal(await w.mutate('addLabels', { taskId: id, labelIds: [other] }), 'ValidationError', 'labelIds');
    expect((await w.mutate('addLabels', { taskId: id, labelIds: labelIds.slice(0, 2) })).errors).toEqual([]);
    expect((await w.mutate('updateTask', { id, labelIds, title: 'Same labels' })).errors).toEqual([]);
    expectRefusal(await w.mutate('updateTask', { id, labelIds: [...labelIds, other] }), 'ValidationError', 'labelIds');
    expect((await w.mutate('removeLabels', { taskId: id, labelIds: labelIds.slice(0, 9) })).errors).toEqual([]);
    expect(await count()).toBe(51);
    expect((await w.mutate('updateTask', { id, labelIds: labelIds.slice(9, 60) })).errors).toEqual([]);
    expectRefusal(await w.mutate('updateTask', { id, labelIds }), 'ValidationError', 'labelIds');
    expect((await w.mutate('updateTask', { id, labelIds: labelIds.slice(10, 60) })).task.labels.totalCount).toBe(50);
    expectRefusal(await w.mutate('addLabels', { taskId: id, labelIds: [other] }), 'ValidationError', 'labelIds');
    const tooMany = { projectId: w.f.web.id, title: 'No', labelIds: labelIds.slice(0, 51) };
    expectRefusal(await w.mutate('createTask', tooMany), 'ValidationError', 'labelIds');
  });

  test('a task with 60 labels keeps them when it moves to a project that has them all', async () => {
    const { id } = await withSixtyLabels('moved');
    await w.here.transactor.transact((tx) => tx.insert(labels).values(sixty(w.f.ops.id, 'moved')));
    const { task, errors } = await w.mutate('moveTask', { id, projectId: w.f.ops.id });
    expect(errors).toEqual([]);
    expect(task.labels.totalCount).toBe(60);
  });

  test('a description over the limit can be shortened and given back, but not lengthened', async () => {
    const { task } = await w.mutate('createTask', { projectId: w.f.web.id, title: 'Long' });
    const long = 'x'.repeat(70_000);
    await w.here.transactor.transact((tx) =>
      tx.execute(sql`update tasks set description = ${long} where title = 'Long'`),
    );
    const set = (description: string) => w.mutate('updateTask', { id: task.id, description });
    expect((await set(long)).errors).toEqual([]);
    expectRefusal(await set(`${long}x`), 'ValidationError', 'description');
    expectRefusal(await set('y'.repeat(70_000)), 'ValidationError', 'description');
    expect((await set(long.slice(1))).errors).toEqual([]);
    expect((await set('x'.repeat(65_536))).errors).toEqual([]);
    expectRefusal(await set('x'.repeat(65_537)), 'ValidationError', 'description');
  });
});

test('a mutation names every field at fault', async () => {
  const { errors } = await w.mutate('createTask', {
    projectId: 'nothing',
    title: '\u200b',
    description: HALF,
    assigneeId: 'nobody',
    labelIds: ['a', w.f.bug.id, 'b'],
    idempotencyKey: '',
  });
  expect(errors.map(({ path }: { path: string[] }) => path.slice(1).join('.'))).toEqual([
    'projectId',
    'title',
    'labelIds.0',
    'labelIds.2',
    'description',
    'assigneeId',
    'idempotencyKey',
  ]);
  expect(errors[1]).toEqual({
    __typename: 'ValidationError',
    code: 'BLANK',
    message: 'expected 1 to 500 characters, got none that is visible',
    path: ['input', 'title'],
  });
  const many = await w.mutate('createTask', {
    projectId: w.f.ops.id,
    title: 'T',
    labelIds: Array.from({ length: 40 }, (_, i) => `bad ${i}`),
  });
  expect(many.errors).toHaveLength(20);
});

describe('addMember', () => {
  const add = (input: object) => w.mutate('addMember', { projectId: w.f.web.id, role: 'VIEWER', ...input });

  test('finds a user by handle', async () => {
    const { memberEdge, errors } = await add({ handle: 'vic' });
    expect(errors).toEqual([]);
    expect(memberEdge).toEqual({ role: 'VIEWER', node: { handle: 'vic' } });
  });

  test.each<[string, object, string, string]>([
    ['a handle that no user has', { handle: 'nobody' }, 'NotFoundError', 'handle'],
    ['a handle of half a surrogate pair', { handle: HALF }, 'ValidationError', 'handle'],
    ['neither a handle nor an id', {}, 'ValidationError', 'userId'],
    ['null for both', { handle: null, userId: null }, 'ValidationError', 'userId'],
  ])('refuses %s', async (_, input, typename, field) => {
    expectRefusal(await add(input), typename, field);
  });

  test('refuses a handle beside an id', async () => {
    expectRefusal(await add({ handle: 'bob', userId: w.f.bob.id }), 'ValidationError', 'userId');
  });

  test('tells only an OWNER whether a handle exists', async () => {
    for (const handle of ['bob', 'nobody']) {
      const payload = await w.mutate(
        'addMember',
        { projectId: w.f.web.id, handle, role: 'VIEWER' },
        { as: w.f.bob.id },
      );
      expectRefusal(payload, 'NotFoundError', 'projectId');
    }
  });
});

test('after moveTask the old identifier, the new one and the id find the task', async () => {
  const { task } = await w.mutate('createTask', { projectId: w.f.web.id, title: 'Moving' });
  const find = 'query($id: ID!) { task(id: $id) { identifier } }';
  const before = (await w.read(find, { id: task.id })).task.identifier;
  const byIdentifier = 'query($identifier: String!) { task(identifier: $identifier) { id } }';
  expect((await w.read(byIdentifier, { identifier: before })).task.id).toBe(task.id);
  const moved = await w.mutate('moveTask', { id: task.id, projectId: w.f.ops.id });
  expect((await w.read(byIdentifier, { identifier: before })).task.id).toBe(task.id);
  expect((await w.read(byIdentifier, { identifier: moved.task.identifier })).task.id).toBe(task.id);
  expect((await w.read(find, { id: task.id })).task.identifier).toBe(moved.task.identifier);
});

test('the check constraints of the tables have the limits of the API', async () => {
  const rows = await w.here.db.read.execute<{ name: string; definition: string }>(sql`
    select conrelid::regclass || '.' || conname as name, pg_get_constraintdef(oid) as definition
    from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace`);
  const limits = Object.fromEntries(
    rows.flatMap(({ name, definition }) => {
      const [, min, max] = /length\(.*?\) >= (\d+)\).*length\(.*?\) <= (\d+)\)/.exec(definition) ?? [];
      return max === undefined ? [] : [[name, [Number(min), Number(max)]]];
    }),
  );
  const of = ({ minChars, maxChars }: { minChars: number; maxChars: number }) => [minChars, maxChars];
  expect(limits).toMatchObject({
    'tasks.tasks_title': of(TEXTS.taskTitle),
    'comments.comments_body': of(TEXTS.commentBody),
    'labels.labels_name_length': of(TEXTS.labelName),
    'projects.projects_name': of(TEXTS.projectName),
    'idempotency_keys.idempotency_keys_key': of(TEXTS.idempotencyKey),
  });
});
