/** How the console turns a trace into levels, compares runs, and tells what a write made old. */
import { expect, test } from 'vitest';
import { effectsOf, operationNames, outcomesOf, runOf, tasksIn } from '../../src/server/console/explain-model.js';
import type { Outcome, Trace, TracedCall } from '../../src/server/console/types.js';

const call = (coordinate: string, outcome: Outcome, rest: Partial<TracedCall> = {}): TracedCall => ({
  path: [coordinate],
  coordinate,
  name: coordinate,
  outcome,
  tags: [],
  ms: 1,
  startMs: 0,
  roundTrips: [],
  ...rest,
});
const trace = (calls: readonly TracedCall[], rest: Partial<Trace> = {}): Trace => ({
  calls,
  totals: { redisRoundTrips: 0, sqlStatements: 0, ms: 20 },
  ...rest,
});
const trip = (number: number, startMs: number) => ({ trip: number, startMs, ms: 1, keys: 1, tags: 1, shared: false });

test('a level has what waits for one read of Redis, and the statements that follow it', () => {
  const { levels } = runOf(
    null,
    [],
    trace(
      [
        call('Query.projects', 'miss', { roundTrips: [1], startMs: 0 }),
        call('Task.assignee', 'miss', { roundTrips: [2], startMs: 9 }),
        call('Task.assignee', 'miss', { roundTrips: [2], startMs: 9, path: ['b'] }),
      ],
      {
        redis: [trip(2, 10), trip(1, 1)],
        sql: [
          { text: 'select 1', startMs: 3, ms: 2 },
          { text: 'select 2', startMs: 12, ms: null },
        ],
      },
    ),
  );
  expect(levels.map(({ lines }) => lines.map(({ kind }) => kind))).toEqual([
    ['trip', 'field', 'statement'],
    ['trip', 'field', 'statement'],
  ]);
  expect(levels[1]?.lines[1]).toMatchObject({ coordinate: 'Task.assignee', calls: [{}, { path: ['b'] }] });
  expect(levels[1]?.lines[2]?.endMs).toBe(20); // not finished: up to the answer
});

test('the steps of a write are in the order of their start among the statements, and end with the answer at the latest', () => {
  const { levels } = runOf(
    null,
    [],
    trace([], {
      sql: [
        { text: 'update', startMs: 1, ms: 3 },
        { text: 'commit', startMs: 7, ms: 2 },
      ],
      writes: [
        { step: 'FENCE', startMs: 5, ms: 1, tags: 4 },
        { step: 'RELEASE', startMs: 9, ms: null, tags: 4 },
      ],
    }),
  );
  expect(levels).toHaveLength(1);
  expect(levels[0]?.lines.map(({ kind, endMs }) => [kind, endMs])).toEqual([
    ['statement', 4],
    ['write', 6],
    ['statement', 9],
    ['write', 20],
  ]);
});

test('values that no read of Redis was needed for make one level', () => {
  const { levels } = runOf(null, [], trace([call('Query.viewer', 'near-hit'), call('User.name', 'near-hit')]));
  expect(levels).toHaveLength(1);
  expect(levels[0]?.lines).toHaveLength(2);
});

test('calls are counted by field and outcome', () => {
  const calls = [call('Task.assignee', 'hit'), call('Task.assignee', 'hit'), call('Task.assignee', 'miss')];
  const counts = outcomesOf(runOf(null, [], trace(calls)));
  expect([...(counts.get('Task.assignee Task.assignee') ?? [])]).toEqual([
    ['hit', 2],
    ['miss', 1],
  ]);
});

test('the fields that a write made old are those with one of its tags, with what the next run did', () => {
  const before = runOf(
    null,
    [],
    trace([call('Query.task', 'hit', { tags: ['tasks:id=1'] }), call('User.name', 'hit')]),
  );
  const after = runOf(null, [], trace([call('Query.task', 'miss'), call('User.name', 'hit')]));
  const effects = effectsOf(before, ['tasks:id=1', 'tasks:id=2'], after);
  expect(effects.map(({ field, tags, outcomes }) => [field, tags, [...outcomes]])).toEqual([
    ['Query.task', ['tasks:id=1'], [['miss', 1]]],
  ]);
});

test('tasks are found in an answer at any depth, once each, by the id that was asked for', () => {
  const task = { id: 'task_1', identifier: 'OPS-1', title: 'Mend', priority: 'LOW' };
  const data = { projects: { nodes: [{ id: 'project_1', tasks: [task, task] }, { tasks: [{ title: 'no id' }] }] } };
  expect(tasksIn(data)).toEqual([{ id: 'task_1', label: 'OPS-1 · Mend', title: 'Mend', priority: 'LOW' }]);
});

test.each([
  ['{ viewer { name } }', []],
  ['query A { a } mutation B($x: Int) { b }', ['A', 'B']],
  ['# query No\nquery Yes { a(text: "query Not { }") }', ['Yes']],
  ['query Board {\n  query\n}', ['Board']],
])('the names of the operations of %j are read', (text, names) => {
  expect(operationNames(text)).toEqual(names);
});
