/**
 * Parser for the output of `gh issue list --json
 * number,title,body,state,labels,assignees,author,comments,createdAt,updatedAt,closedAt,url`. A file is parsed
 * completely or not at all; the result fits the constraints of the tables. Unknown members are ignored.
 */
import { z } from 'zod';
import { readText, TEXTS, type TextRule, truncated } from '../../std/text.js';
import { MAX_LABELS } from '../tasks/task.table.js';

export type ImportErrorCode =
  | 'NOT_JSON'
  | 'NOT_AN_ARRAY'
  | 'NO_ISSUES'
  | 'BAD_RECORD'
  | 'DUPLICATE_ISSUE'
  | 'SEVERAL_REPOSITORIES'
  | 'BAD_PROJECT_KEY'
  | 'UNKNOWN_OWNER'
  | 'NOT_A_WRITER'
  | 'ARCHIVED';

/** Nothing was imported. The message names the record and field, what was expected and what was found. */
export class ImportError extends Error {
  override readonly name = 'ImportError';

  constructor(
    readonly code: ImportErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const SOURCE_URL: TextRule = { kind: 'opaque', minChars: 0, maxChars: 2000 };
const MAX_INTEGER = 2 ** 31 - 1; // Postgres's `integer`
/** Faults listed in one message; further faults are only counted. */
const MAX_FAULTS = 10;
/** GitHub's own name for the author of what a deleted account left behind. */
const DELETED_ACCOUNT = 'ghost';

const instant = z.iso
  .datetime({ offset: true, abort: true, ...expected('an ISO date-time') })
  .refine((text) => Date.parse(text) >= 0, expected('a date-time after 1970')) // ids contain it as an unsigned number
  .transform((text) => new Date(text).toISOString());

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
  const faults: string[] = [];
  for (const [place, record] of records.entries()) {
    const parsed = issue.safeParse(record);
    if (parsed.success) issues.push(parsed.data);
    else
      faults.push(
        ...parsed.error.issues.map(({ path, message }) =>
          [recordName(place, record), ...(path.length > 0 ? [path.join('.')] : []), message].join(': '),
        ),
      );
  }
  if (faults.length > 0) throw new ImportError('BAD_RECORD', listed(faults));
  return { repository: onlyRepository(issues), issues };
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

/** The same rules as for texts in the API. */
function text(rule: TextRule) {
  return z.string(expected(`text of ${rule.minChars} to ${rule.maxChars} characters`)).transform((given, context) => {
    const read = readText(rule, given);
    if ('text' in read) return read.text;
    context.addIssue(read.fault);
    return z.NEVER;
  });
}

function countNames(labels: readonly { readonly name: string }[]): number {
  return new Set(labels.map(({ name }) => name)).size;
}

function emptyAsNull(value: string | null | undefined): string | null {
  return value ? value : null;
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

function listed(faults: readonly string[]): string {
  const more = faults.length - MAX_FAULTS;
  return [...faults.slice(0, MAX_FAULTS), ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

function expected(what: string) {
  return { error: ({ input }: { input?: unknown }) => `expected ${what}, got ${shown(input)}` };
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  const json = JSON.stringify(value);
  return json.length <= 80 ? json : `${truncated(json, 80)}…`;
}
