/** Which tasks and comments JSON Lines name in a database that has a project and a copy of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ExportSnapshot } from '../../src/domain/export/export.repository.js';
import { exportText } from '../../src/domain/export/export-text.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { openImport } from '../../src/domain/import/import-file.js';
import { taskRelations } from '../../src/domain/tasks/task-relation.table.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, writeFixture } from '../support/fixture.js';

let database: TestDatabase;
let db: MainDatabase;
let folder: string;
let f: Fixture;

beforeAll(async () => {
  database = await createDatabase();
  db = openDatabase({ url: database.url });
  folder = await mkdtemp(join(tmpdir(), 'import-copies-'));
  f = await db.write.transaction((tx) => writeFixture(tx, 3));
});

afterAll(async () => {
  await db?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const transactor = {
  transact: async <T>(fn: (tx: Transaction) => Promise<T>) => ({ value: await db.write.transaction(fn), tags: [] }),
};

async function importText(text: string, projectKey: string) {
  const path = join(folder, 'file');
  await writeFile(path, text);
  return runImport({ file: await openImport(path), projectKey, ownerId: f.ada.id, transactor });
}

async function textOf(key: string): Promise<string> {
  const snapshot = await ExportSnapshot.open(database.url, { key });
  if (snapshot === undefined) throw new Error(`expected the project ${key}`);
  let text = '';
  for await (const piece of exportText(snapshot, { format: 'jsonl' })) text += piece;
  await snapshot.close();
  return text;
}

test('the copy of a project is read back into the project itself: each task and comment is found by its first id', async () => {
  const [first, second] = f.opsTasks;
  if (first === undefined || second === undefined) throw new Error('expected three tasks');
  const inOps = { projectId: f.ops.id, relatedProjectId: f.ops.id };
  await db.write
    .insert(taskRelations)
    .values([{ ...inOps, taskId: first.id, type: 'BLOCKS', relatedTaskId: second.id }]);
  const original = await textOf('OPS');
  expect(await importText(original, 'COPY')).toMatchObject({ tasks: { created: 3 }, comments: { created: 3 } });
  const edited = (await textOf('COPY')).replace('"Task 3"', '"Task three"').replace('"Noted."', '"Noted twice."');
  expect(await importText(edited, 'OPS')).toMatchObject({
    tasks: { created: 0, updated: 1, unchanged: 2 },
    comments: { created: 0, updated: 1, unchanged: 2 },
    relations: { created: 0, deleted: 0, unchanged: 1 },
  });
  const same = { tasks: { unchanged: 3 }, comments: { unchanged: 3 }, relations: { unchanged: 1 } };
  expect(await importText(edited, 'COPY')).toMatchObject({ tasks: { updated: 1 }, comments: { updated: 1 } });
  for (const key of ['OPS', 'COPY']) expect(await importText(await textOf(key), key)).toMatchObject(same);
});

test('two lines with one id are refused, also if they have different sources', async () => {
  const [line = ''] = (await textOf('OPS')).split('\n').filter((text) => text.includes('"type":"task"'));
  const { source, ...task } = JSON.parse(line);
  const lines = [null, 'https://a/1', 'https://a/2'].map((one) => JSON.stringify({ ...task, source: one }));
  for (const pair of [lines.slice(0, 2), lines.slice(0, 2).reverse(), lines.slice(1)]) {
    await expect(importText(`${pair.join('\n')}\n`, 'OPS')).rejects.toThrow(
      'line 2 (OPS-1): expected each task once, got that of line 1 (OPS-1) again',
    );
  }
});
