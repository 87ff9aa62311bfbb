/**
 * What an export and an import take in memory and time: a project of 100 000 tasks with labels, relations and comments is
 * exported in both formats, and the JSON Lines are imported into another database, each in a process of its own.
 * `node --import tsx test/bench/export.ts`; BENCH_TASKS, BENCH_ONLY (a pattern), TEST_DATABASE_URL.
 */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { newId, toUuid } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { ExportSnapshot } from '../../src/domain/export/export.repository.js';
import { type ExportFormat, exportText } from '../../src/domain/export/export-text.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { openImport } from '../../src/domain/import/import-file.js';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';

const TASKS = Number(process.env['BENCH_TASKS'] ?? 100_000);
const SERVER = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';
const ONLY = new RegExp(process.env['BENCH_ONLY'] ?? '');
const SAMPLE_MS = 10;
const MB = 1024 * 1024;

const seedSql = `
  insert into users (id, handle, name)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n, 'User ' || n from generate_series(1, 100) n;
  insert into projects (id, key, name) values ('00000000-0000-7000-8001-000000000001', 'BIG', 'Big');
  insert into labels (id, project_id, name, color)
    select ('00000000-0000-7000-8002-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-7000-8001-000000000001', 'label' || n, '#112233'
    from generate_series(0, 9) n;
  insert into tasks (id, project_id, number, title, description, status, creator_id, assignee_id, created_at, updated_at)
    select ('00000000-0000-7000-8003-' || lpad(n::text, 12, '0'))::uuid, '00000000-0000-7000-8001-000000000001', n, 'Task ' || n,
      repeat('Words about ' || md5(n::text) || '. ', 20), 'TODO',
      ('00000000-0000-7000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
      ('00000000-0000-7000-8000-' || lpad((1 + n % 50)::text, 12, '0'))::uuid,
      timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second'
    from generate_series(1, ${TASKS}) n;
  update tasks c set parent_id = p.id from tasks p where c.number % 10 = 0 and p.number = c.number - 9;
  insert into task_labels (project_id, task_id, label_id)
    select t.project_id, t.id, l.id from tasks t join labels l on l.name = 'label' || t.number % 10;
  update tasks set sort_order = default_sort_order(number - 10) || 'V' where number % 17 = 0;
  insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
    select a.id, r.type::task_relation_type, b.id, a.project_id, b.project_id
    from (values ('BLOCKS', 1, 1), ('RELATES_TO', 7, 3), ('DUPLICATE_OF', 2, 11)) as r(type, ahead, every)
      join tasks a on a.number % r.every = 0 join tasks b on b.number = a.number + r.ahead;
  insert into comments (id, task_id, author_id, body)
    select gen_random_uuid(), id, creator_id, 'Noted.' from tasks where number % 2 = 0;
  analyze`;

type Work = 'export' | 'import';

/** One measurement: what the process had before, and what it had at most. */
async function inProcess([work, databaseUrl = '', path = '', format]: string[]): Promise<void> {
  const before = process.memoryUsage().rss;
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, SAMPLE_MS);
  const startedMs = performance.now();
  await (work === 'export' ? writeExport(databaseUrl, path, format as ExportFormat) : readImport(databaseUrl, path));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);

  clearInterval(sampling);
  const size = ((await stat(path)).size / MB).toFixed(0);
  const { user, system } = process.cpuUsage();
  const cpuSeconds = ((user + system) / 1e6).toFixed(1);
  const growth = ((most - before) / MB).toFixed(0);
  console.log(
    `| ${work} ${format ?? 'jsonl'} | ${TASKS} | ${size} | ${seconds} | ${cpuSeconds} | ${growth} | ${(most / MB).toFixed(0)} |`,
  );
}

async function writeExport(databaseUrl: string, path: string, format: ExportFormat): Promise<void> {
  const snapshot = await ExportSnapshot.open(databaseUrl, { key: 'BIG' });
  if (snapshot === undefined) throw new Error('expected the project BIG');
  await pipeline(Readable.from(exportText(snapshot, { format }), { highWaterMark: 1 }), createWriteStream(path));
  await snapshot.close();
}

async function readImport(databaseUrl: string, path: string): Promise<void> {
  const db = openDatabase({ url: databaseUrl });
  const ownerId = newId('user');
  await db.write.$client.unsafe(`insert into users (id, handle, name) values ('${toUuid(ownerId)}', 'owner', 'Owner')`);
  await runImport({
    file: await openImport(path),
    ownerId,
    transactor: { transact: async (fn) => ({ value: await db.write.transaction(fn), tags: [] }) },
  });
  await db.close();
}

async function run(work: Work, ...rest: string[]): Promise<void> {
  if (!ONLY.test(work)) return;
  const child = fork(fileURLToPath(import.meta.url), [work, ...rest], { execArgv: ['--import', 'tsx'] });
  await new Promise<void>((resolve, reject) => {
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${work} ended with ${code}`))));
  });
}

async function main(): Promise<void> {
  const admin = postgresClient(SERVER, { max: 1 });
  const names = ['from', 'to'].map((name) => `export_${name}_${randomBytes(4).toString('hex')}`);
  const folder = await mkdtemp(join(tmpdir(), 'export-'));
  try {
    const urls: string[] = [];
    for (const name of names) {
      await admin.unsafe(`create database ${name}`);
      urls.push(Object.assign(new URL(SERVER), { pathname: `/${name}` }).href);
      await migrateDatabase(urls.at(-1) as string);
    }
    const [from = '', to = ''] = urls;
    const seed = postgresClient(from, { max: 1, statementTimeoutMs: 0 });
    await seed.unsafe(seedSql);
    await seed.end();
    console.log('| what | tasks | file, MB | s | CPU, s | RSS growth, MB | RSS, MB |\n|---|---|---|---|---|---|---|');
    await run('export', from, join(folder, 'csv'), 'csv');
    await run('export', from, join(folder, 'jsonl'), 'jsonl');
    await run('import', to, join(folder, 'jsonl'));
  } finally {
    for (const name of names) await admin.unsafe(`drop database if exists ${name} with (force)`);
    await admin.end();
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === undefined) await main();
else await inProcess(process.argv.slice(2));
