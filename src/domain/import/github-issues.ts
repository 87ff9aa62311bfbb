/**
 * Parser for the output of `gh issue list --json
 * number,title,body,state,labels,assignees,author,comments,createdAt,updatedAt,closedAt,url`. A file is parsed
 * completely or not at all; the result fits the constraints of the tables. Unknown members are ignored.
 */
import { z } from 'zod';
import { readText, TEXTS, type TextRule } from '../../std/text.js';
import { MAX_ASSIGNEES, MAX_LABELS } from '../tasks/task.table.js';
import { Faults, ImportError } from './import-error.js';
import type { ImportFile, Item, Person, TaskItem } from './items.js';
import { emptyAsNull, expected, instant, shown, text } from './values.js';

const SOURCE_URL: TextRule = { kind: 'opaque', minChars: 0, maxChars: 2000 };
const MAX_KEY_CHARS = 10;
const MAX_INTEGER = 2 ** 31 - 1; // Postgres's `integer`
/** GitHub's own name for the author of what a deleted account left behind. */
const DELETED_ACCOUNT = 'ghost';

const account = z
  // Printable ASCII without spaces: a login, `app/dependabot`, `dependabot[bot]`.
  .object(
    { login: z.string(expected('a login')).regex(/^[!-~]{0,64}$/, expected('a login')) },
    expected('an account with a login'),
  )
  .nullable()
  // GitHub writes null for a deleted account; gh turns it into an empty login, or into an app without a name.
  .transform((given) =>
    given === null || given.login === '' || given.login === 'app/' ? DELETED_ACCOUNT : given.login,
  );

const label = z.object(
  {
    name: text(TEXTS.labelName),
    color: z
      .string(expected('six hexadecimal digits'))
      .regex(/^[0-9a-f]{6}$/i, expected('six hexadecimal digits'))
      .transform((digits) => `#${digits.toLowerCase()}`),
    description: text(TEXTS.labelDescription).nullish().transform(emptyAsNull),
  },
  expected('a label'),
);

const comment = z.object(
  {
    author: account,
    /** Empty if it has no visible characters. */
    body: text({ ...TEXTS.commentBody, minChars: 0 }),
    createdAt: instant,
    /** gh writes it since version 2.0. */
    url: text(SOURCE_URL).nullish().transform(emptyAsNull),
  },
  expected('a comment'),
);

const issue = z
  .object(
    {
      number: z
        .int(expected('a positive number'))
        .min(1, expected('a positive number'))
        .max(MAX_INTEGER, expected('a number of 31 bits')),
      title: text(TEXTS.taskTitle),
      body: text(TEXTS.taskDescription).transform(emptyAsNull),
      state: z.enum(['OPEN', 'CLOSED'], expected('OPEN or CLOSED')),
      author: account,
      assignees: z.array(account, expected('an array')),
      labels: z.array(label, expected('an array')).refine((labels) => countNames(labels) <= MAX_LABELS, {
        error: ({ input }) => `expected at most ${MAX_LABELS} labels, got ${countNames(input as { name: string }[])}`,
      }),
      comments: z
        .array(comment, expected('an array'))
        .refine(urlsDiffer, { error: 'expected each comment once, got a url twice' }),
      createdAt: instant,
      updatedAt: instant,
      closedAt: instant.nullable(),
      url: text(SOURCE_URL).refine((url) => partsOf(url) !== undefined, {
        abort: true,
        ...expected("an issue's URL like https://github.com/owner/repository/issues/13"),
      }),
    },
    expected('an object'),
  )
  .refine(({ number, url }) => partsOf(url)?.number === number, {
    path: ['url'],
    error: ({ input }) => {
      // Refinements run only on input that the schema has accepted.
      const { number, url } = input as { number: number; url: string };
      return `expected the URL of issue #${number}, got ${shown(url)}`;
    },
  });

export type Issue = z.output<typeof issue>;

export interface IssueFile {
  readonly repository: Repository;
  /** At least one; numbers and URLs are unique. */
  readonly issues: readonly Issue[];
}

export interface Repository {
  /** `https://github.com/owner/name` */
  readonly url: string;
  readonly name: string;
}

/**
 * Records and comments are counted from 0: `record 12 … comments.3.createdAt` is `jq '.[12].comments[3].createdAt'`.
 * @throws ImportError
 */
export function parseIssues(fileText: string): IssueFile {
  const records = recordsOf(fileText);
  const issues: Issue[] = [];
  const faults = new Faults();
  for (const [place, record] of records.entries()) {
    const parsed = issue.safeParse(record);
    if (parsed.success) issues.push(parsed.data);
    else
      for (const { path, message } of parsed.error.issues)
        faults.add([recordName(place, record), ...(path.length > 0 ? [path.join('.')] : []), message].join(': '));
  }
  faults.throwIfAny();
  return { repository: onlyRepository(issues), issues };
}

/** The issues as items of an import. @throws ImportError */
export function githubFile(fileText: string): ImportFile {
  const { repository, issues } = parseIssues(fileText);
  return {
    *items() {
      yield { kind: 'project', key: keyFrom(repository.name), name: repository.name };
      for (const one of issues) yield* itemsOf(one);
    },
  };
}

/** A key from the capital letters and digits of a repository's name: `qlog` → `QLOG`. */
function keyFrom(name: string): string {
  return name
    .toUpperCase()
    .replace(/^[^A-Z]+|[^A-Z0-9]/g, '')
    .slice(0, MAX_KEY_CHARS);
}

function* itemsOf(given: Issue): Generator<Item> {
  for (const one of given.labels) yield { kind: 'label', ...one };
  for (const login of given.assignees) yield { kind: 'user', ...personOf(login) };
  if (given.assignees.length > MAX_ASSIGNEES) yield { kind: 'leftOut', what: 'assignees' };
  yield taskOf(given);
  yield* commentsOf(given);
}

/** Only the fields that a file contains: no priority, dates, estimate or parent. */
function taskOf(given: Issue): TaskItem {
  return {
    kind: 'task',
    at: `issue #${given.number}`,
    key: given.url,
    number: given.number,
    title: given.title,
    description: given.body,
    status: given.state,
    assignees: [...new Set(given.assignees)].slice(0, MAX_ASSIGNEES).map(personOf),
    creator: personOf(given.author),
    labels: given.labels.map(({ name }) => name),
    createdAt: given.createdAt,
    updatedAt: given.updatedAt,
    completedAt: given.closedAt ?? given.updatedAt,
  };
}

/** A comment is identified by its URL; without one, by author and instant, numbered among those that share both. */
function* commentsOf({ url: taskKey, comments, updatedAt: editedAt }: Issue): Generator<Item> {
  const seen = new Map<string, number>();
  for (const { author, body, createdAt, url } of comments) {
    const name = `${author} ${createdAt}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    if (body === '') yield { kind: 'leftOut', what: 'comments' };
    else {
      const sourceKey = url ?? `${name} ${nth}`;
      const times = { createdAt, updatedAt: createdAt, editedAt }; // the file does not contain when it was edited
      yield { kind: 'comment', taskKey, sourceKey, author: personOf(author), body, ...times };
    }
  }
}

function personOf(login: string): Person {
  return { handle: login, name: login };
}

function recordsOf(fileText: string): unknown[] {
  let content: unknown;
  try {
    // Some shells write a byte order mark when they redirect output.
    content = JSON.parse(fileText.replace(/^\uFEFF/, ''));
  } catch (cause) {
    // JSON.parse only throws SyntaxErrors.
    throw new ImportError(
      'NOT_JSON',
      `the file: expected JSON, got ${fileText.trim() === '' ? 'nothing' : (cause as Error).message}`,
      { cause },
    );
  }
  if (!Array.isArray(content))
    throw new ImportError('NOT_AN_ARRAY', `the file: expected an array of issues, got ${shown(content)}`);
  if (content.length === 0)
    throw new ImportError('NO_ISSUES', 'the file: expected at least one issue, got an empty array');
  return content;
}

/** The repository of all `issues`. @throws ImportError when there are several, or when an issue is listed twice */
function onlyRepository(issues: readonly Issue[]): Repository {
  let repository: Repository | undefined;
  const places = new Map<number, number>();
  for (const [place, record] of issues.entries()) {
    const own = partsOf(record.url)?.repository;
    repository ??= own;
    if (own?.url !== repository?.url) {
      const message =
        `${recordName(place, record)}: url: expected an issue of ${repository?.url}, as in record 0, got ` +
        `${shown(record.url)}`;
      throw new ImportError('SEVERAL_REPOSITORIES', message);
    }
    // Within one repository the number determines the URL, so this also finds equal URLs.
    const first = places.get(record.number);
    if (first !== undefined) {
      const message =
        `${recordName(place, record)}: number: expected each issue once, got #${record.number}, which is record ` +
        `${first} too`;
      throw new ImportError('DUPLICATE_ISSUE', message);
    }
    places.set(record.number, place);
  }
  if (repository === undefined) throw new TypeError('expected at least one issue');
  return repository;
}

function partsOf(url: string): { repository: Repository; number: number } | undefined {
  const match = /^(https?:\/\/[^/\s]+\/[^/\s]+\/([^/\s]{1,100}))\/issues\/([1-9]\d*)$/.exec(url);
  const [, repositoryUrl, name, number] = match ?? [];
  if (repositoryUrl === undefined || name === undefined) return undefined;
  const read = readText(TEXTS.projectName, name); // the import uses it as the project's name
  if (!('text' in read) || read.text !== name) return undefined;
  return { repository: { url: repositoryUrl, name }, number: Number(number) };
}

function countNames(labels: readonly { readonly name: string }[]): number {
  return new Set(labels.map(({ name }) => name)).size;
}

function urlsDiffer(comments: readonly { readonly url: string | null }[]): boolean {
  const urls = comments.flatMap(({ url }) => url ?? []);
  return new Set(urls).size === urls.length;
}

/** `record 12 (issue #13)`, or `record 12` when its number is unreadable. */
function recordName(place: number, record: unknown): string {
  const number = typeof record === 'object' && record !== null && 'number' in record ? record.number : undefined;
  return Number.isInteger(number) ? `record ${place} (issue #${number})` : `record ${place}`;
}
