/** The checker itself, on histories whose verdict is known. */
import { beforeEach, expect, test } from 'vitest';
import { emptyTally, History, type Tally } from './history.js';

let nowMs: number;
let history: History;
let tally: Tally;

beforeEach(() => {
  nowMs = 1000;
  history = new History(() => nowMs);
  history.addRow('a', 'fenced', 1, 'TODO');
  history.addRow('b', 'fenced', 1, 'DONE');
  history.addRow('raw', 'bare', 1);
  tally = emptyTally();
  history.countIn('a fault', tally);
});

const at = (ms: number) => {
  nowMs = ms;
};

function write(row: string, version: number, [fromMs, toMs]: [number, number], state?: string) {
  at(fromMs);
  const operation = history.beginWrite([row], 'a write');
  at(toMs);
  history.acknowledged(operation, [row], [{ row, version, state }]);
}

function read(row: string, version: number, [fromMs, toMs]: [number, number], state?: string) {
  at(fromMs);
  const operation = history.beginRead('a read');
  at(toMs);
  history.endRead(operation, [{ row, version, state }]);
}

test('a read that began before a write ended may return either version', () => {
  at(2000);
  const early = history.beginRead('early');
  const late = history.beginRead('late');
  write('a', 2, [2001, 2002]);
  at(2003);
  history.endRead(early, [{ row: 'a', version: 1 }]);
  history.endRead(late, [{ row: 'a', version: 2 }]);
  expect(history.total).toMatchObject({ reads: 2, violations: 0 });
});

test('a read that began after a write was acknowledged returns it, or is a violation that names the write', () => {
  write('a', 2, [2000, 2010]);
  read('a', 2, [2011, 2012]);
  expect(history.violations).toEqual([]);
  read('a', 1, [2030, 2035]);
  expect(history.violations).toMatchObject([
    { rule: 'stale', row: 'a', label: 'a fault', startedMs: 2030, endedMs: 2035, staleMs: 20, inPartition: false },
  ]);
  expect(history.violations[0]?.contradictedBy).toContain('a write');
  expect(tally).toMatchObject({ reads: 2, violations: 1, worstOutsideMs: 20, worstInsideMs: 0 });
});

test('what one read or probe has returned, no later one may be older than', () => {
  at(2000);
  const writing = history.beginWrite(['a'], 'never acknowledged');
  read('a', 2, [2001, 2002]);
  read('a', 1, [2003, 2004]);
  expect(history.violations).toHaveLength(1);
  at(2005);
  const probe = history.beginProbe(['b'], 'probe');
  at(2006);
  history.endProbe(probe, [{ row: 'b', version: 1 }]);
  history.outcomeUnknown(writing, ['a']);
  expect(history.total.violations).toBe(1);
});

test('staleness counts from the first operation that contradicts, not from the last', () => {
  write('a', 2, [2000, 2010]);
  write('a', 3, [3000, 3010]);
  write('a', 4, [4000, 4010]);
  read('a', 2, [5010, 5020]);
  expect(history.violations[0]).toMatchObject({ staleMs: 2000, expected: 'version 4 or later' });
});

test('the rows of one answer do not contradict each other', () => {
  at(2000);
  history.beginWrite(['a'], 'open');
  const operation = history.beginRead('both');
  at(2001);
  history.endRead(operation, [
    { row: 'a', version: 2 },
    { row: 'a', version: 1 },
  ]);
  expect(history.total).toMatchObject({ reads: 2, violations: 0 });
});

test('a version that no update begun so far can have made is a violation', () => {
  read('a', 2, [2000, 2001]);
  expect(history.violations).toMatchObject([{ rule: 'future', got: 'version 2', expected: 'at most 1' }]);
});

test('an update of unknown outcome may show later; one that was refused may not', () => {
  at(2000);
  const unknown = history.beginWrite(['a'], 'unknown');
  const refused = history.beginWrite(['b'], 'refused');
  at(2001);
  history.outcomeUnknown(unknown, ['a']);
  history.refused(refused, ['b']);
  read('a', 2, [9000, 9001]);
  expect(history.violations).toEqual([]);
  read('b', 2, [9000, 9001]);
  expect(history.violations).toMatchObject([{ rule: 'future', row: 'b' }]);
});

test('a probe long after an update of unknown outcome settles that it did not happen', () => {
  at(2000);
  history.outcomeUnknown(history.beginWrite(['a'], 'unknown'), ['a']);
  at(2000 + 61_000);
  history.endProbe(history.beginProbe(['a'], 'probe'), [{ row: 'a', version: 1 }]);
  read('a', 2, [63_100, 63_101]);
  expect(history.violations).toMatchObject([{ rule: 'future' }]);
});

test('inside a partition two seconds are tolerated and no more, and for as long after it', () => {
  history.partitionBegins();
  write('a', 2, [2000, 2010]);
  read('a', 1, [3000, 3001]);
  expect(tally).toMatchObject({ violations: 0, tolerated: 1, worstInsideMs: 990 });
  read('a', 1, [4500, 4501]);
  expect(history.violations).toMatchObject([{ staleMs: 2490, inPartition: true }]);
  at(5000);
  history.partitionEnds();
  write('a', 3, [5000, 5010]);
  read('a', 2, [6000, 6001]);
  expect(history.violations).toHaveLength(1);
  write('a', 4, [8000, 8010]);
  read('a', 3, [8020, 8030]);
  expect(history.violations).toHaveLength(2);
});

test('rows written around the API may be two seconds old, and no older', () => {
  write('raw', 2, [2000, 2010]);
  read('raw', 1, [4200, 4201]);
  expect(tally).toMatchObject({ violations: 0, tolerated: 1, worstBareMs: 2190, worstOutsideMs: 0 });
  read('raw', 1, [4300, 4301]);
  expect(history.violations).toMatchObject([{ row: 'raw', staleMs: 2290 }]);
});

test('a list holds a row as long as a version that the row can have had says so', () => {
  const listed = (present: string[], fromMs: number) => {
    at(fromMs);
    const operation = history.beginRead('TODO');
    at(fromMs + 1);
    const list = { rows: ['a', 'b'], present: new Set(present), states: new Set(['TODO']) };
    history.endRead(operation, [], list);
  };
  listed(['a'], 2000);
  expect(history.violations).toEqual([]);
  listed(['a', 'b'], 2010);
  expect(history.violations).toMatchObject([{ rule: 'list', row: 'b' }]);
  at(3000);
  const moving = history.beginWrite(['a'], 'move');
  listed(['a'], 3001);
  listed([], 3003); // the move may have happened
  expect(history.violations).toHaveLength(1);
  at(3010);
  history.acknowledged(moving, ['a'], [{ row: 'a', version: 2, state: 'DONE' }]);
  listed([], 3020);
  expect(history.violations).toHaveLength(1);
  listed(['a'], 3030);
  expect(history.violations[1]).toMatchObject({ rule: 'list', row: 'a', staleMs: 20 });
});

test('two states of one version are a violation', () => {
  read('a', 1, [2000, 2001], 'DONE');
  expect(history.violations).toMatchObject([{ rule: 'state', row: 'a' }]);
});

test('a snapshot keeps the sum and shows a vector of the order', () => {
  history.knowVector('7', '5,5');
  history.checkSnapshot('s', 2000, { order: '7', vector: '5,5', sum: 10, expectedSum: 10 });
  history.checkSnapshot('s', 2000, { order: '8', vector: '4,6', sum: 10, expectedSum: 10 });
  expect(history.violations).toEqual([]);
  history.checkSnapshot('s', 2000, { order: '7', vector: '4,6', sum: 10, expectedSum: 10 });
  history.checkSnapshot('s', 2000, { order: '9', vector: '4,5', sum: 9, expectedSum: 10 });
  expect(history.total).toMatchObject({ snapshots: 4, violations: 2, tolerated: 0 });
  history.partitionBegins();
  history.checkSnapshot('s', 2000, { order: '9', vector: '4,5', sum: 9, expectedSum: 10 });
  expect(history.total).toMatchObject({ snapshots: 5, violations: 2, tolerated: 1 });
});

test('what it remembers does not grow with the number of reads and writes', () => {
  const remembered: number[] = [];
  // A write each 10 ms: those of RETAIN_MS are 3000.
  for (let version = 2; version < 20_002; version++) {
    write('a', version, [version * 10, version * 10 + 1]);
    for (let i = 0; i < 10; i++) read('a', version, [version * 10 + 2, version * 10 + 3]);
    remembered.push(history.proofs);
  }
  expect(history.total).toMatchObject({ reads: 200_000, violations: 0 });
  expect(Math.max(...remembered.slice(10_000))).toBe(Math.max(...remembered.slice(0, 10_000)));
});

test('after a restart of the history earlier proofs do not count, nor do reads that began before it', () => {
  write('a', 7, [1000, 1010]);
  at(1100);
  history.pause();
  read('a', 1, [1110, 1120]);
  at(1130);
  const across = history.beginRead('across');
  at(1200);
  history.restart([{ row: 'a', version: 3, state: 'TODO' }]);
  at(1210);
  history.endRead(across, [{ row: 'a', version: 7 }]);
  read('a', 3, [1220, 1230]);
  expect(history.total.violations).toBe(0);
});

test('after a restart of the history a version of the old one is a violation, whether above or below the present one', () => {
  write('a', 7, [1000, 1010]);
  history.pause();
  at(1200);
  history.restart([{ row: 'a', version: 3 }]);
  read('a', 7, [1220, 1230]);
  read('a', 2, [1240, 1250]);
  expect(history.violations.map(({ rule }) => rule)).toEqual(['future', 'stale']);
});
