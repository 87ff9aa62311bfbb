/** A file of issues is read whole or refused with the record, the field, what was expected and what came. */
import { expect, test } from 'vitest';
import { parseIssues } from '../../src/domain/import/github-issues.js';
import { ImportError } from '../../src/domain/import/import-error.js';

const URL = 'https://github.com/acme/rocket-shop/issues';

function record(number: number, changes: object = {}) {
  return {
    number,
    title: `Title ${number}`,
    body: 'Text',
    state: 'OPEN',
    author: { login: 'ada' },
    assignees: [],
    labels: [],
    comments: [],
    createdAt: '2024-01-01T10:00:00Z',
    updatedAt: '2024-01-02T10:00:00Z',
    closedAt: null,
    url: `${URL}/${number}`,
    ...changes,
  };
}

const comment = (changes: object = {}) => ({
  author: { login: 'bob' },
  body: 'Aye',
  createdAt: '2024-01-01T11:00:00Z',
  ...changes,
});
const label = (changes: object = {}) => ({ name: 'bug', color: 'D73A4A', description: '', ...changes });
const parse = (...records: unknown[]) => parseIssues(JSON.stringify(records));

function refusal(text: string): { code: string; message: string } {
  try {
    parseIssues(text);
  } catch (error) {
    if (error instanceof ImportError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('expected an ImportError');
}
const refusalOf = (...records: unknown[]) => refusal(JSON.stringify(records));

test('a record is read into what the tables hold: instants in UTC, colours with #, empty texts as null', () => {
  const { repository, issues } = parse(
    record(13, {
      body: '',
      createdAt: '2024-01-01T12:00:00+02:00',
      assignees: [{ login: 'eve' }],
      labels: [label()],
      comments: [comment({ url: `${URL}/13#issuecomment-1` }), comment()],
    }),
  );
  expect(repository).toEqual({ url: 'https://github.com/acme/rocket-shop', name: 'rocket-shop' });
  expect(issues[0]).toMatchObject({
    body: null,
    author: 'ada',
    assignees: ['eve'],
    createdAt: '2024-01-01T10:00:00.000Z',
    labels: [{ name: 'bug', color: '#d73a4a', description: null }],
    comments: [{ author: 'bob', url: `${URL}/13#issuecomment-1` }, { url: null }],
  });
});

test('members that are not read are ignored, in whatever form they come', () => {
  const author = { id: 'U_1', is_bot: false, login: 'ada', name: 'Ada' };
  const extra = { id: 'IC_1', authorAssociation: 'NONE', viewerDidAuthor: true, reactionGroups: [] };
  const { issues } = parse(record(1, { milestone: { title: 'v1' }, author, comments: [comment(extra)] }));
  expect(Object.keys(issues[0] ?? {})).not.toContain('milestone');
  expect(issues[0]?.author).toBe('ada');
});

test('what a deleted account left behind is by ghost, in each form that gh gives it', () => {
  const { issues } = parse(
    record(1, { author: { login: '' } }),
    record(2, { author: { login: 'app/' } }),
    record(3, { author: null }),
  );
  expect(issues.map(({ author }) => author)).toEqual(['ghost', 'ghost', 'ghost']);
});

test('a fault is named by record, issue, path, what was expected and what came', () => {
  const bad = record(13, { comments: [comment(), comment(), comment(), comment({ createdAt: 'yesterday' })] });
  expect(refusalOf(record(1), bad)).toEqual({
    code: 'BAD_RECORD',
    message: 'record 1 (issue #13): comments.3.createdAt: expected an ISO date-time, got "yesterday"',
  });
});

test.each<[string, unknown, string]>([
  ['a record that is no object', 7, 'record 0: expected an object, got 7'],
  ['an unreadable number', record(1, { number: 'one' }), 'record 0: number: expected a positive number, got "one"'],
  [
    'a number beyond the column',
    record(2 ** 31),
    'record 0 (issue #2147483648): number: expected a number of 31 bits, got 2147483648',
  ],
  [
    'a missing field',
    record(1, { title: undefined }),
    'record 0 (issue #1): title: expected text of 1 to 500 characters, got nothing',
  ],
  [
    'another state',
    record(1, { state: 'MERGED' }),
    'record 0 (issue #1): state: expected OPEN or CLOSED, got "MERGED"',
  ],
  [
    'a login with a space',
    record(1, { author: { login: 'a b' } }),
    'record 0 (issue #1): author.login: expected a login, got "a b"',
  ],
  [
    'a field of another type',
    record(1, { labels: {} }),
    'record 0 (issue #1): labels: expected an array, got an object',
  ],
  [
    'a colour that is none',
    record(1, { labels: [label(), label({ name: 'odd', color: 'reddish' })] }),
    'record 0 (issue #1): labels.1.color: expected six hexadecimal digits, got "reddish"',
  ],
  [
    'a title that is too long',
    record(1, { title: 'x'.repeat(501) }),
    'record 0 (issue #1): title: expected 1 to 500 characters, got 501',
  ],
  [
    'a body that is too long',
    record(1, { body: 'x'.repeat(65_537) }),
    'record 0 (issue #1): body: expected at most 65536 characters, got 65537',
  ],
  [
    'a comment with NUL',
    record(1, { comments: [comment({ body: 'ab\0' })] }),
    'record 0 (issue #1): comments.0.body: expected a text that can be stored, got NUL (U+0000) at character 3',
  ],
  [
    'half a surrogate pair',
    record(1, { title: '\ud83d' }),
    'record 0 (issue #1): title: expected a text that can be stored, got an unpaired surrogate (U+D83D) at character 1',
  ],
  [
    'a title of blanks',
    record(1, { title: ' \u200b' }),
    'record 0 (issue #1): title: expected 1 to 500 characters, got none that is visible',
  ],
  [
    'a title with an escape',
    record(1, { title: 'a\u001b[1m' }),
    'record 0 (issue #1): title: expected no control characters, got one (U+001B) at character 2',
  ],
  [
    'a label of two lines',
    record(1, { labels: [label({ name: 'a\u2028b' })] }),
    'record 0 (issue #1): labels.0.name: expected one line, got a line break (U+2028) at character 2',
  ],
  [
    'more labels than a task may have',
    record(1, { labels: Array.from({ length: 51 }, (_, i) => label({ name: `label ${i}` })) }),
    'record 0 (issue #1): labels: expected at most 50 labels, got 51',
  ],
  [
    'a repository that is not the name of a project',
    record(1, { url: 'https://github.com/acme/a\u202eb/issues/1' }),
    "record 0 (issue #1): url: expected an issue's URL like https://github.com/owner/repository/issues/13, " +
      'got "https://github.com/acme/a\u202eb/issues/1"',
  ],
  [
    "a URL that is no issue's",
    record(1, { url: 'https://github.com/acme/rocket-shop/pull/1' }),
    "record 0 (issue #1): url: expected an issue's URL like https://github.com/owner/repository/issues/13, " +
      'got "https://github.com/acme/rocket-shop/pull/1"',
  ],
  [
    'the URL of another issue',
    record(1, { url: `${URL}/2` }),
    `record 0 (issue #1): url: expected the URL of issue #1, got "${URL}/2"`,
  ],
  [
    'a comment given twice',
    record(1, { comments: [comment({ url: `${URL}/1#c` }), comment({ url: `${URL}/1#c` })] }),
    'record 0 (issue #1): comments: expected each comment once, got a url twice',
  ],
])('%s is refused', (_, bad, message) => {
  expect(refusalOf(bad)).toEqual({ code: 'BAD_RECORD', message });
});

test('a message lists a hundred faults, and counts the others', () => {
  const bad = Array.from({ length: 102 }, (_, i) => record(i + 1, { state: 'MERGED' }));
  const lines = refusalOf(...bad).message.split('\n');
  expect(lines).toHaveLength(101);
  expect(lines.at(-1)).toBe('and 2 more');
});

test('lengths are counted in characters, as Postgres does', () => {
  expect(parse(record(1, { title: '🚀'.repeat(500) })).issues).toHaveLength(1);
  expect(refusalOf(record(1, { title: '🚀'.repeat(501) })).message).toContain('got 501');
});

test('texts are read as the API reads them', () => {
  const [issue] = parse(
    record(1, {
      title: ' Cafe\u0301\u200b ',
      body: 'a\r\nb\u001e',
      labels: [label({ name: 'e\u0301', description: ' ' }), label({ name: 'é' })],
      comments: [comment({ body: '\u200b\r\n' }), comment({ body: '😀'.repeat(65_536) })],
    }),
  ).issues;
  expect(issue).toMatchObject({ title: 'Café', body: 'a\nb\u001e' });
  expect(issue?.labels.map(({ name, description }) => [name, description])).toEqual([
    ['é', null],
    ['é', null],
  ]);
  expect(issue?.comments.map(({ body }) => body)).toEqual(['', '😀'.repeat(65_536)]);
  expect(parse(record(1, { body: ' \n' })).issues[0]?.body).toBeNull();
});

test('fifty labels are as many as a task may have, however often each is named', () => {
  const fifty = Array.from({ length: 50 }, (_, i) => label({ name: `label ${i}` }));
  expect(parse(record(1, { labels: [...fifty, ...fifty] })).issues).toHaveLength(1);
});

test.each<[string, string, string, string]>([
  ['nothing', '', 'NOT_JSON', 'the file: expected JSON, got nothing'],
  ['no JSON', 'number,title', 'NOT_JSON', 'the file: expected JSON, got Unexpected token'],
  ['an object', '{"number": 1}', 'NOT_AN_ARRAY', 'the file: expected an array of issues, got an object'],
  ['no issue', '[]', 'NO_ISSUES', 'the file: expected at least one issue, got an empty array'],
])('a file with %s is refused', (_, text, code, message) => {
  const refused = refusal(text);
  expect(refused.code).toBe(code);
  expect(refused.message).toContain(message);
});

test('an issue that comes twice is refused with both places', () => {
  expect(refusalOf(record(1), record(2), record(1, { title: 'Again' }))).toEqual({
    code: 'DUPLICATE_ISSUE',
    message: 'record 2 (issue #1): number: expected each issue once, got #1, which is record 0 too',
  });
});

test('issues of two repositories are refused', () => {
  const other = 'https://github.com/acme/other/issues/2';
  expect(refusalOf(record(1), record(2, { url: other }))).toEqual({
    code: 'SEVERAL_REPOSITORIES',
    message: `record 1 (issue #2): url: expected an issue of https://github.com/acme/rocket-shop, as in record 0, got "${other}"`,
  });
});
