/** What the patch of postgres.js makes for each statement is garbage of the young generation: see docs/decisions.md. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const QUERY = new URL('query.js', import.meta.resolve('postgres')).href;
// A function of V8 itself, which a test can only call in a process of its own.
const SCRIPT = `
import { Query } from ${JSON.stringify(QUERY)};
const { resolve, reject } = new Query([], [], () => {}, () => {});
const holder = {};
holder.direct = () => holder;
console.log(JSON.stringify([resolve, reject, holder.direct].map((closure) => %InYoungGeneration(closure))));
`;

test('the closures of a statement are young, unlike one that is assigned to a property directly', async () => {
  const args = ['--allow-natives-syntax', '--input-type=module', '--eval', SCRIPT];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(JSON.parse(stdout)).toEqual([true, true, false]);
});
