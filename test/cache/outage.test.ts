/** What ends an outage and what does not, on a clock that stands still. */
import { beforeEach, describe, expect, test } from 'vitest';
import { LEASE_MS } from '../../src/engine/cache/index.js';
import { lostTogetherMs, Outage, refusalText, reportedOnce } from '../../src/engine/redis/outage.js';
import { FakeClock } from './world.js';

const OOM = "OOM command not allowed when used memory > 'maxmemory'.";
const NOPERM = 'NOPERM this user has no permissions to run the command';

let clock: FakeClock;
let reports: string[];
let outage: Outage;

beforeEach(() => {
  clock = new FakeClock();
  reports = [];
  outage = new Outage(clock, { began: (reason) => reports.push(reason), ended: () => reports.push('ended') });
});

/** Attempts that fail now and every half second, for `ms`. */
function failingFor(ms: number, fail: (startedMs: number) => void): void {
  fail(clock.monotonicMs());
  for (let passedMs = 0; passedMs < ms; passedMs += 500) {
    clock.advance(500);
    fail(clock.monotonicMs());
  }
}
const refused = (reason: string) => (startedMs: number) => outage.refused(startedMs, reason, 'fence');
const unanswered = (startedMs: number) => outage.failed(startedMs, 'no answer in time');

describe('writes that are refused', () => {
  test('are an outage that a read which succeeds does not end, and a fence does', () => {
    failingFor(LEASE_MS, refused(OOM));
    outage.answered();
    expect(outage.lostForMs).toBe(LEASE_MS);
    outage.fenced();
    expect(outage.lostForMs).toBe(0);
  });

  test('are no outage any more after any other write that the server took', () => {
    failingFor(LEASE_MS, refused(OOM));
    outage.wrote();
    expect(outage.lostForMs).toBe(0);
  });

  test('are counted from the last lease that was renewed meanwhile: until it is over, it proves old values', () => {
    failingFor(LEASE_MS, refused(OOM));
    outage.leased(LEASE_MS - 100);
    expect(outage.lostForMs).toBe(0);
  });

  test('are not ended by a lease that was renewed before them', () => {
    clock.advance(500);
    failingFor(500, refused(OOM));
    outage.leased(LEASE_MS - 1000); // a second ago
    expect(outage.lostForMs).toBe(500);
  });

  test('for want of this user’s rights end with a fence alone: a lease only shows that others may write', () => {
    failingFor(LEASE_MS, refused(NOPERM));
    outage.leased(LEASE_MS);
    outage.wrote();
    outage.answered();
    expect(outage.lostForMs).toBe(LEASE_MS);
    outage.fenced();
    expect(outage.lostForMs).toBe(0);
  });

  test('to a tick are an outage, too, but not for want of a right that only ticks need', () => {
    failingFor(LEASE_MS, (startedMs) => outage.refused(startedMs, NOPERM, 'tick'));
    expect(outage.lostForMs).toBe(0);
    failingFor(LEASE_MS, (startedMs) => outage.refused(startedMs, OOM, 'tick'));
    expect(outage.lostForMs).toBe(LEASE_MS);
  });

  test('begin another outage after a second without an attempt, and after a minute where a right is wanting', () => {
    failingFor(LEASE_MS, refused(OOM));
    clock.advance(1001);
    outage.refused(clock.monotonicMs(), OOM, 'fence');
    expect(outage.lostForMs).toBe(0);
    failingFor(LEASE_MS, refused(NOPERM));
    clock.advance(59_999);
    outage.refused(clock.monotonicMs(), NOPERM, 'fence');
    expect(outage.lostForMs).toBe(LEASE_MS + 59_999);
    clock.advance(60_001);
    outage.refused(clock.monotonicMs(), NOPERM, 'fence');
    expect(outage.lostForMs).toBe(0);
  });
});

test('a server that does not answer is back with its first answer', () => {
  failingFor(LEASE_MS, unanswered);
  expect(outage.lostForMs).toBe(LEASE_MS);
  outage.answered();
  expect(outage.lostForMs).toBe(0);
});

test('a server that comes back and refuses writes is lost since it began to refuse', () => {
  failingFor(LEASE_MS, unanswered);
  outage.answered();
  failingFor(1000, refused(OOM));
  expect(outage.lostForMs).toBe(1000);
});

test('an outage is reported with its reason when it has lasted LEASE_MS, and once more when it ends', () => {
  failingFor(LEASE_MS - 500, refused(OOM));
  outage.fenced();
  expect(reports).toEqual([]);
  failingFor(2 * LEASE_MS, refused(OOM));
  outage.answered();
  expect(reports).toEqual([`Redis refuses writes: ${OOM}`]);
  outage.fenced();
  outage.fenced();
  expect(reports).toEqual([`Redis refuses writes: ${OOM}`, 'ended']);
  failingFor(LEASE_MS, unanswered);
  expect(reports.slice(2)).toEqual(['Redis cannot be reached: no answer in time']);
});

test('groups are lost together since the last of them was lost: its lease is the last to end', () => {
  const groups = (...lost: number[]) => lost.map((lostForMs) => ({ lostForMs }));
  expect(lostTogetherMs(groups(0, 5000, 10))).toBe(10);
  expect(lostTogetherMs(groups(0, 5000))).toBe(5000);
  expect(lostTogetherMs(groups(0, 0))).toBe(0);
});

test('outages of several groups are reported as one', () => {
  const together = reportedOnce({ began: (reason) => reports.push(reason), ended: () => reports.push('ended') });
  together.began('one');
  together.began('two');
  together.ended();
  expect(reports).toEqual(['one']);
  together.ended();
  expect(reports).toEqual(['one', 'ended']);
});

test('a reason is Redis’s own words, without the script that met it', () => {
  expect(refusalText(`${OOM} script: ${'75e9be7a'.repeat(5)}, on @user_script:13.`)).toBe(OOM);
  expect(refusalText(NOPERM)).toBe(NOPERM);
});
