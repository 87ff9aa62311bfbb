/** Files of Linear and Jira, CSV and JSON Lines: what becomes of them, what is refused, and where. */
import { asc, eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { type ImportOptions, runImport } from '../../src/domain/import/import.service.js';
import type { OpenImportOptions } from '../../src/domain/import/import-file.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { type ImportDatabase, importDatabase } from '../support/import-database.js';

let imports: ImportDatabase;
let db: ImportDatabase['db'];
let ownerId: UserId;

beforeAll(async () => {
  imports = await importDatabase();
  ({ db } = imports);
});
afterAll(() => imports?.close());
beforeEach(async () => {
  ownerId = await imports.reset();
});

async function importText(
  content: string | Buffer,
  { open: opening, ...options }: Partial<ImportOptions> & { open?: OpenImportOptions; dryRun?: boolean } = {},
) {
  const file = await imports.open(content, opening);
  return runImport({ file, ownerId, transactor: imports.transactor, ...options });
}

async function refusal(content: string | Buffer, options?: Parameters<typeof importText>[1]): Promise<string> {
  return importText(content, options).then(
    () => expect.fail('expected a refusal'),
    (error: Error) => error.message,
  );
}

/** The tasks as people see them, in order of their numbers. */
async function allTasks() {
  const [row] = await db.read.execute<{ found: Record<string, unknown>[] }>(sql`
    select json_agg(json_build_object('number', t.number, 'title', t.title, 'description', t.description,
      'status', t.status, 'priority', t.priority, 'due', t.due_date, 'assignee', a.handle, 'creator', c.handle,
      'parent', p.number, 'created', to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
      'completed', to_char(t.completed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), 'version', t.version,
      'labels', array(select l.name from task_labels tl join labels l on l.id = tl.label_id
        where tl.task_id = t.id order by 1)) order by t.number) as found
    from tasks t join users c on c.id = t.creator_id left join users a on a.id = t.assignee_id
      left join tasks p on p.id = t.parent_id`);
  return row?.found ?? [];
}

const LINEAR_HEADER =
  'ID,Team,Title,Description,Status,Estimate,Priority,Project ID,Project,Creator,Assignee,Labels,Cycle Number,' +
  'Cycle Name,Cycle Start,Cycle End,Created,Updated,Started,Triaged,Completed,Canceled,Archived,Due Date,' +
  'Parent issue,Initiatives,Project Milestone ID,Project Milestone,SLA Status,UUID,Time in status (minutes),' +
  'Related to,Blocked by,Duplicate of';

/** A row with these columns; the others are empty. */
function row(header: string, given: Record<string, string>): string {
  return header
    .split(',')
    .map((name) => `"${(given[name] ?? '').replaceAll('"', '""')}"`)
    .join(',');
}

const CREATED = { Created: 'Wed May 13 2026 11:21:41 GMT+0000 (GMT+00:00)' };

test('an export of Linear becomes tasks with the project, numbers, statuses, days and parents of its issues', async () => {
  const linear = (given: Record<string, string>) => row(LINEAR_HEADER, { ...CREATED, Team: 'Engine', ...given });
  const due = 'Thu Jun 25 2026 23:00:00 GMT+0000 (GMT+00:00)';
  const completed = 'Fri May 15 2026 08:00:00 GMT+0000 (GMT+00:00)';
  const first = { ID: 'ENG-1', Title: "'=1+1", Description: 'a\n"b"', Status: 'Shipping', Started: completed };
  const more = { Priority: 'Urgent', Creator: 'Mike Roy', Assignee: 'eve@acme.test', Labels: 'bug, ui' };
  const text = [
    LINEAR_HEADER,
    linear({ ...first, ...more, 'Due Date': due, 'Parent issue': 'ENG-3' }),
    linear({ ID: 'ENG-2', Title: 'Left', Status: 'Duplicate', Priority: 'No priority', 'Parent issue': 'ENG-77' }),
    linear({ ID: 'ENG-3', Title: 'Whole', Status: 'Released', Completed: completed }),
  ].join('\n');
  const result = await importText(text);
  expect(result).toMatchObject({ projectKey: 'ENG', projectCreated: true, parentsLeftOut: 1 });
  const common = { description: null, due: null, assignee: null, parent: null, completed: null, version: 1 };
  const made = { ...common, created: '2026-05-13 11:21', creator: 'owner', priority: 'NONE', labels: [] };
  expect(await allTasks()).toEqual([
    {
      ...{ ...made, number: 1, title: '=1+1', description: 'a\n"b"', status: 'IN_PROGRESS', priority: 'URGENT' },
      ...{ due: '2026-06-26', assignee: 'eve@acme.test', creator: 'Mike-Roy', parent: 3, labels: ['bug', 'ui'] },
    },
    { ...made, number: 2, title: 'Left', status: 'CANCELED' },
    { ...made, number: 3, title: 'Whole', status: 'DONE', completed: '2026-05-15 08:00' },
  ]);
  expect(await db.read.select({ name: projects.name }).from(projects)).toEqual([{ name: 'Engine' }]);
  expect((await importText(text)).tasks).toEqual({ created: 0, updated: 0, unchanged: 3 });
  expect((await importText(text.replace('Whole', 'Hole'))).tasks).toEqual({ created: 0, updated: 1, unchanged: 2 });
});

const JIRA = `Summary,Issue key,Issue id,Issue Type,Status,Project key,Project name,Priority,Resolution,Assignee,Assignee Id,Reporter,Reporter Id,Created,Updated,Resolved,Due date,Labels,Labels,Description,Parent,Status Category,Comment,Comment
Pay,PAY-7,10001,Story,In QA,PAY,Payments,Highest,,Bob Roy,acc-b,Alice,acc-a,14/Jul/25 3:42 PM,15/Jul/25 12:05 AM,,20/Aug/25 12:00 AM,a,b,"x
y",10002,In Progress,"05/Sep/26 11:00 AM;acc-a;First; run",06/Sep/26 2:00 PM;acc-z;Again
Api,PAY-9,10002,Story,Done,PAY,Payments,Medium,Won't Do,,,Alice,acc-a,2025-07-14 10:00,2025-07-14 10:00,2025-07-15 10:00,,b,,,,Done,,
`;

test('an export of Jira becomes tasks with all its labels and comments, of one column each', async () => {
  expect(await importText(JIRA)).toMatchObject({ projectKey: 'PAY', comments: { created: 2 } });
  const [pay, api] = await allTasks();
  expect(pay).toMatchObject({ number: 7, status: 'IN_PROGRESS', priority: 'URGENT', due: '2025-08-20', parent: 9 });
  expect(pay).toMatchObject({ assignee: 'Bob-Roy', creator: 'Alice', labels: ['a', 'b'], created: '2025-07-14 15:42' });
  expect(api).toMatchObject({ number: 9, status: 'CANCELED', priority: 'MEDIUM', assignee: null, completed: null });
  const written = await db.read
    .select({ body: comments.body, author: users.handle, createdAt: comments.createdAt })
    .from(comments)
    .innerJoin(users, eq(users.id, comments.authorId))
    .orderBy(asc(comments.createdAt));
  expect(written).toEqual([
    { body: 'First; run', author: 'Alice', createdAt: '2026-09-05T11:00:00.000Z' },
    { body: 'Again', author: 'acc-z', createdAt: '2026-09-06T14:00:00.000Z' },
  ]);
  const again = await importText(JIRA.replace('Again', 'Better'), {
    open: { values: new Map([['In QA', 'IN_REVIEW']]) },
  });
  expect(again).toMatchObject({
    tasks: { updated: 1, unchanged: 1 },
    comments: { created: 0, updated: 1, unchanged: 1 },
  });
  expect((await allTasks())[0]).toMatchObject({ status: 'IN_REVIEW' });
});

test('a CSV file with a byte order mark, semicolons and names of its own is read by --map; what it lacks stays', async () => {
  const columns = new Map([
    ['Nr', 'id'],
    ['Betreff', 'title'],
    ['Wann', 'due date'],
  ]);
  const options = {
    projectKey: 'CSV',
    open: { columns: new Map([...columns].map(([a, b]) => [a, b.replace(' d', 'D')])) },
  };
  const text = '\ufeffNr;Betreff;Wann;Labels;Other\r\n1;"A ""b""; c";2026-11-30;"x,""y, z""";?\r\n\r\n2;Two;;;\r\n';
  await importText(text, options);
  expect(await allTasks()).toMatchObject([
    { number: 1, title: 'A "b"; c', due: '2026-11-30', labels: ['x', 'y, z'], status: 'BACKLOG', creator: 'owner' },
    { number: 2, title: 'Two', due: null, labels: [] },
  ]);
  await db.write.update(tasks).set({ priority: 'HIGH', status: 'IN_REVIEW' });
  expect((await importText(text.replace('Two', 'Zwei'), options)).tasks).toMatchObject({ updated: 1, unchanged: 1 });
  expect((await allTasks())[1]).toMatchObject({ title: 'Zwei', priority: 'HIGH', status: 'IN_REVIEW', version: 2 });
});

test('every fault of a file is listed with line, field and what was expected, and nothing is written', async () => {
  const text = [
    'id,title,status,priority,dueDate,createdAt,labels,parent',
    '1,,Doing it,soon,2026-02-30,yesterday,,',
    '2,"two',
    'lines",TODO,LOW,,,,3',
    '3,c,DONE,,,,,2',
    '1,d,,,,,,',
    '4,e,,,,,,,surplus',
    ',f',
    '5,"g" h',
    '6,i',
  ].join('\n');
  expect((await refusal(text, { projectKey: 'CSV' })).split('\n')).toEqual([
    'line 2 (1): title: expected 1 to 500 characters, got none',
    'line 2 (1): status: expected BACKLOG, TODO, IN_PROGRESS, IN_REVIEW, DONE or CANCELED, or a word that --values maps, got "Doing it"',
    'line 2 (1): priority: expected NONE, LOW, MEDIUM, HIGH or URGENT, or a word that --values maps, got "soon"',
    'line 2 (1): due date: expected a day like 2026-11-30, got "2026-02-30"',
    expect.stringMatching(/^line 2 \(1\): createdAt: expected a date and time after 1970 .*got "yesterday"$/),
    expect.stringMatching(/^line 3 \(2\): title: expected one line, got a line break/),
    'line 7: expected at most 8 fields, got 9',
    'line 8: id: expected a text that identifies the task, got nothing',
    expect.stringMatching(/^line 9: expected a record of RFC 4180: .*What follows was not read$/),
  ]);
  expect(await db.read.select().from(projects)).toEqual([]);
  const many = `id,title\n${'1,\n'.repeat(120)}`;
  const lines = (await refusal(many, { projectKey: 'CSV', dryRun: true })).split('\n');
  expect([lines.length, lines.at(-1)]).toEqual([101, 'and 20 more']);
});

test.each<[string, string | Buffer, string]>([
  ['bytes of another encoding', Buffer.from([...Buffer.from('id,title\n1,a\n2,'), 0xe9]), 'line 3: expected UTF-8'],
  ['UTF-16', Buffer.from('\ufeffid,title\n1,a', 'utf16le'), 'line 1: expected UTF-8'],
  ['no content', ' \n', 'the file: expected tasks, got nothing'],
  ['a header alone', 'id,title\n', 'the file: expected at least one task, got none'],
  ['no column that identifies tasks', 'title\na\n', 'line 1: expected a column id or url, which identifies a task'],
  ['a task twice', 'id,title\n1,a\n1,b\n', 'line 3 (1): expected each task once, got that of line 2 (1) again'],
  ['a cycle of parents', 'id,title,parent\n1,a,2\n2,b,1\n', 'line 2 (1): parent: expected a task that is not one of'],
  ['JSON Lines that are none', '{"type":"user"}\n{]\n', 'line 2: expected one object of JSON, got "{]": '],
  ['a comment away from its task', '{"type":"comment"}\n', "line 1: id: expected a comment's id like comment_…"],
])('a file with %s is refused', async (_, content, message) => {
  expect(await refusal(content, { projectKey: 'CSV' })).toContain(message);
});

test('a CSV file without a project is refused, and a key of --map that is no column or field', async () => {
  expect(await refusal('id,title\n1,a\n')).toContain('got none: name one by --project');
  const columns = (column: string, field: string) => ({ open: { columns: new Map([[column, field]]) } });
  expect(await refusal('id,title\n1,a\n', columns('Name', 'title'))).toBe('--map: the file has no column "Name"');
  expect(await refusal('id,title\n1,a\n', columns('title', 'name'))).toContain('--map: expected one of id, url');
});

test('a dry run says what an import would do, by name, and writes nothing', async () => {
  const result = await importText(JIRA, { dryRun: true });
  expect(result).toMatchObject({ projectKey: 'PAY', projectCreated: true, tasks: { created: 2, updated: 0 } });
  expect(result).toMatchObject({ createdUsers: ['Alice', 'Bob-Roy', 'acc-z'], createdLabels: ['a', 'b'] });
  expect(await db.read.select().from(projects)).toEqual([]);
  await importText(JIRA);
  const changed = JIRA.replace('Api,', 'APIs,');
  expect((await importText(changed, { dryRun: true })).tasks).toEqual({ created: 0, updated: 1, unchanged: 1 });
  expect((await allTasks())[1]).toMatchObject({ title: 'Api', version: 1 });
});

test('a parent far behind its subtask is set, also of an existing task; a cycle with tasks of the project is refused', async () => {
  const rows = Array.from({ length: 501 }, (_, i) => `${i + 1},T,${i === 0 ? '501' : ''}`);
  const options = { projectKey: 'CSV' };
  await importText(`id,title,parent\n${rows.join('\n')}\n`, options);
  expect((await allTasks())[0]).toMatchObject({ parent: 501, version: 1 });
  expect((await importText('id,title,parent\n2,T,1\n', options)).tasks).toMatchObject({ updated: 1 });
  expect((await allTasks())[1]).toMatchObject({ parent: 1, version: 2 });
  expect(await refusal('id,title,parent\n501,T,2\n', options)).toContain('not one of its own subtasks');
});

const plans = () =>
  db.read.execute(sql`
    select start_date::text as start, estimate, array(
      select u.handle from unnest(t.assignee_id || t.other_assignee_ids) with ordinality as a(id, place)
      join users u on u.id = a.id order by place) as assignees
    from tasks t order by title`);

test('CSV sets start dates, estimates and all assignees; a column of one assignee leaves the others', async () => {
  const into = { projectKey: 'PLAN' };
  const header = 'id,title,startDate,Points,assignees,assignee,dueDate';
  const map = { open: { columns: new Map([['Points', 'estimate']]) } };
  const rows = ['1,a,2026-01-02,8,"ada,bob",eve,2026-01-02', '2,b,,,,eve,', '3,c,,0,,,'];
  await importText([header, ...rows].join('\n'), { ...into, ...map });
  const planned = { start: '2026-01-02', estimate: 8 };
  const rest = [
    { start: null, estimate: null, assignees: ['eve'] },
    { start: null, estimate: 0, assignees: [] },
  ];
  expect(await plans()).toEqual([{ ...planned, assignees: ['ada', 'bob'] }, ...rest]);
  await importText('id,title,assignee\n1,a,eve', into);
  expect(await plans()).toEqual([{ ...planned, assignees: ['eve', 'bob'] }, ...rest]);
  await importText('id,title,assignee\n1,a,', into);
  expect(await plans()).toEqual([{ ...planned, assignees: [] }, ...rest]);
});

test('CSV with a start after the due date, in the file or with what the task has, or no estimate is refused', async () => {
  const into = { projectKey: 'PLAN' };
  const faulty = ['id,title,startDate,dueDate,estimate', '1,a,2026-01-03,2026-01-02,', '2,b,,,1001'].join('\n');
  const message = await refusal(faulty, into);
  expect(message).toContain('line 2 (1): startDate: expected the task to start no later than it is due');
  expect(message).toContain('line 3 (2): estimate: expected 0 to 1000 points, got "1001"');
  await importText('id,title,startDate\n1,a,2026-01-03', into);
  expect(await refusal('id,title,dueDate\n1,a,2026-01-02', into)).toContain('from 2026-01-03 to 2026-01-02');
});
