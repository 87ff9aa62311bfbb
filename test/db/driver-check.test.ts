/** Which copies of postgres.js the engine works with: the published one with the patch, and none that lacks a part which it needs. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Driver, driverFault } from '../../src/engine/postgres/driver-check.js';
import { ownDrizzle } from '../../src/engine/postgres/own-drizzle.js';
import { putUnpatchedDriver, ROOT } from '../support/unpatched.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tasks-driver-'));
  await putUnpatchedDriver(dir);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function imported(path: string): Promise<Driver> {
  return (await import(pathToFileURL(join(dir, path)).href)).default;
}

/** A copy of the patched driver without some lines of the patch. */
async function without(name: string, file: string, lines: string | RegExp, instead: string): Promise<Driver> {
  await cp(join(ROOT, 'node_modules/postgres/src'), join(dir, name), { recursive: true });
  const text = await readFile(join(dir, name, file), 'utf8');
  const changed = text.replaceAll(lines, instead);
  expect(changed).not.toBe(text);
  await writeFile(join(dir, name, file), changed);
  return imported(`${name}/index.js`);
}

test('the patched driver has no fault, whatever the environment says of connections', async () => {
  expect(await driverFault(postgres)).toBeUndefined();
  process.env['PGTARGETSESSIONATTRS'] = 'read-write';
  try {
    await cp(join(ROOT, 'node_modules/postgres/src'), join(dir, 'same'), { recursive: true });
    expect(await driverFault(await imported('same/index.js'))).toBeUndefined();
  } finally {
    delete process.env['PGTARGETSESSIONATTRS'];
  }
});

test.each(['src', 'cjs/src'])('the published driver is refused: %s', async (build) => {
  const driver = await imported(`node_modules/postgres/${build}/index.js`);
  expect(await driverFault(driver)).toMatch(/^can send the COMMIT/);
});

test('a driver that lets a dead transaction speak is refused', async () => {
  const driver = await without('transaction', 'index.js', 'if (lost)', 'if (false)');
  expect(await driverFault(driver)).toMatch(/^can send the COMMIT/);
});

test('a driver that keeps what it has not sent is refused', async () => {
  const driver = await without('unsent', 'connection.js', /(clearImmediate\(nextWriteTimer\))\n {4}chunk = .*/g, '$1');
  expect(await driverFault(driver)).toMatch(/^can leave a statement waiting for ever/);
});

test('a driver that keeps the rows of a failed statement is refused', async () => {
  const driver = await without('rows', 'connection.js', /rows = 0 \/\/.*/g, '');
  expect(await driverFault(driver)).toMatch(/^can return rows/);
});

test('a Drizzle over a copy that the cache cannot import is refused, since that copy is not checked', async () => {
  const driver = await imported('node_modules/postgres/src/index.js');
  const db = { $client: driver('postgres://none'), transaction: async () => {} };
  await expect(ownDrizzle(db)).rejects.toThrow(/^this copy of postgres\.js is not the one .* 'tagfence\/postgres-js'/);
});
