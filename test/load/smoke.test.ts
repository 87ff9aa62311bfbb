/** The part with live queries, with few of them and for a moment: what it says of speed is noise, but all of it must be said and hold. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { compiledPrograms } from '../support/built.js';
import { Answers } from './live/answers.js';
import { delaysOf } from './live/receipts.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test(
  'live queries of 20 connections follow the writes of two processes, and so do polls',
  async () => {
    const program = join(await compiledPrograms(), 'test', 'load', 'run.js');
    const env = { LOAD_ONLY: 'live', LOAD_SECONDS: '1', LOAD_LIVE_CONNECTIONS: '20', LOAD_LIVE_HOT_READERS: '5' };
    const runner = spawn(process.execPath, [program], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    for (const stream of [runner.stdout, runner.stderr])
      stream.on('data', (text: Buffer) => said.push(text.toString()));
    const [code] = (await once(runner, 'close')) as [number | null];
    const output = said.join('');
    expect(output.trimEnd().split('\n').at(-1), output).toBe('load: ok');
    expect(code).toBe(0);
    expect(output).toMatch(/^\| this server \| 20 \| 100 \| /m);
    expect(output).toMatch(/^\| this server, polled \| 2 \| 10 \| /m);
  },
  5 * MINUTE,
);

const answer = (...versions: number[]) => ({
  data: { nodes: versions.map((version, i) => ({ id: `task${i}`, version })) },
});

test('an answer in which a task is older, or missing, is a problem', () => {
  const answers = new Answers();
  answers.receive(0, answer(1, 1));
  answers.receive(0, answer(2, 1));
  answers.receive(1, answer(1, 1)); // of another query
  expect(answers.report()).toMatchObject({ problems: 0, receipts: [{ task: 'task0', from: 1, to: 2 }] });
  answers.receive(0, answer(1, 1));
  expect(answers.report()).toMatchObject({ problems: 1, problem: 'task0 is older than before: version 1 after 2' });
  answers.receive(0, answer(1));
  answers.receive(0, { errors: [{ message: 'no' }] });
  expect(answers.report().problems).toBe(3);
});

test('a receipt counts from the acknowledgment of each version that it brings', () => {
  const acknowledged = new Map([
    ['a', new Map([2, 3, 4].map((version) => [version, version * 10]))],
    ['hot', new Map([[2, 100]])],
  ]);
  const receipts = [
    { task: 'a', from: 1, to: 3, atMs: 45 },
    { task: 'a', from: 3, to: 4, atMs: 38 },
    { task: 'hot', from: 1, to: 2, atMs: 107 },
  ];
  const { hot, others, all } = delaysOf(receipts, acknowledged, 'hot');
  expect(hot).toEqual({ count: 1, p50: 7, p99: 7, max: 7 });
  expect(others).toEqual({ count: 3, p50: 15, p99: 25, max: 25 });
  expect(all.count).toBe(4);
});
