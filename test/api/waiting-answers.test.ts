/** Answers that wait for slow clients: how many are held, and what becomes of one that is not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { digest } from '../../src/engine/cache/index.js';
import { wholeAnswers } from '../../src/server/live/answer-form.js';
import { AnswerStream } from '../../src/server/live/answer-stream.js';
import { SendQueue } from '../../src/server/live/send-queue.js';
import { WaitingAnswers } from '../../src/server/live/waiting-answers.js';

const MIB = 1024 * 1024;
const answer = (name: string, chars: number) => {
  const text = name.padEnd(chars, '.');
  return { number: 1, text, digest: digest(text) };
};

test('a caller can have one answer of the greatest size, patch included, and others have their own', () => {
  const waiting = new WaitingAnswers(16 * MIB);
  const patch = { from: '', operations: 'x'.repeat(MIB) };
  const first = waiting.hold('ada', { ...answer('a', 3 * MIB), patch });
  expect(waiting.chars).toBe(4 * MIB);
  expect(waiting.hold('ada', answer('a', MIB))).toBeUndefined(); // the same text of another live query is another string
  expect(waiting.hold('ada', answer('c', 100))).toBeDefined(); // a small one
  const other = waiting.hold('bob', answer('a', 4 * MIB));
  expect(waiting.chars).toBe(8 * MIB + 100);
  first?.();
  expect(waiting.hold('ada', answer('b', MIB))).toBeDefined();
  other?.();
  expect(waiting.chars).toBe(MIB + 100);
});

test('all callers together have their bound', () => {
  const waiting = new WaitingAnswers(16 * MIB);
  for (let i = 0; i < 4; i++) expect(waiting.hold(`viewer ${i}`, answer(String(i), 4 * MIB))).toBeDefined();
  expect(waiting.hold('one more', answer('x', MIB))).toBeUndefined();
});

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** A client whose network takes a message when the test says so, and a process that has room when it says so. */
function client({ hasRoom = true } = {}) {
  const sent: string[] = [];
  let taken = () => {};
  let whenRoom = () => {};
  const sendQueue = new SendQueue({
    room: {
      has: () => hasRoom,
      when(_, begin) {
        if (hasRoom) begin();
        else whenRoom = begin;
        return () => {
          whenRoom = () => {};
        };
      },
    },
    send(message) {
      sent.push(message);
      return new Promise((resolve) => {
        taken = resolve;
      });
    },
    failed: () => {},
  });
  const waiting = new WaitingAnswers(16 * MIB);
  const again = vi.fn();
  const onEnd = vi.fn();
  const opened = () =>
    new AnswerStream({
      sendQueue,
      message: (payload) => payload,
      form: wholeAnswers,
      wantsPatches: false,
      hold: (one) => waiting.hold('ada', one),
      again,
      onEnd,
      viewerGone: () => {},
    });
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const room = () => {
    hasRoom = true;
    whenRoom();
  };
  return { stream: opened(), opened, sent, waiting, again, onEnd, settle, take: () => taken(), room };
}

test('the newest answer is held while one is being sent, and nothing is held once it is sent or the client has gone', async () => {
  const c = client();
  c.stream.answered(answer('first', MIB));
  await c.settle();
  expect([c.sent.length, c.waiting.chars]).toEqual([1, 0]);
  c.stream.answered(answer('second', MIB));
  c.stream.answered(answer('third', 2 * MIB));
  await c.settle();
  expect([c.sent.length, c.waiting.chars]).toEqual([1, 2 * MIB]);
  c.take();
  await c.settle();
  expect(c.sent[1]).toMatch(/^third/);
  c.stream.answered(answer('fourth', MIB));
  await c.stream.return();
  expect(c.waiting.chars).toBe(0);
});

test('an answer without room is not held: it is made again when the client can take it', async () => {
  const c = client();
  c.stream.answered(answer('first', MIB));
  await c.settle();
  const release = c.waiting.hold('ada', answer('of another client', 4 * MIB));
  c.stream.answered(answer('second', MIB));
  await c.settle();
  vi.advanceTimersByTime(10_000);
  expect(c.again).not.toHaveBeenCalled(); // the first one is still being sent
  c.take();
  await c.settle();
  expect(c.sent).toHaveLength(1);
  vi.advanceTimersByTime(1000);
  expect(c.again).toHaveBeenCalledTimes(1);
  release?.();
  c.stream.answered(answer('third', MIB));
  await c.settle();
  expect(c.sent[1]).toMatch(/^third/);
  vi.advanceTimersByTime(10_000);
  expect(c.again).toHaveBeenCalledTimes(1);
});

test('an answer that comes in the meantime takes the place of the one that was not held', async () => {
  const c = client();
  c.stream.answered(answer('first', MIB));
  await c.settle();
  const release = c.waiting.hold('ada', answer('of another client', 4 * MIB));
  c.stream.answered(answer('second', MIB));
  release?.();
  c.stream.answered(answer('third', MIB));
  c.take();
  await c.settle();
  expect(c.sent[1]).toMatch(/^third/);
  vi.advanceTimersByTime(10_000);
  expect(c.again).not.toHaveBeenCalled();
});

test('a connection that can take an answer at once is sent it, however much waits for others', async () => {
  const c = client();
  c.waiting.hold('ada', answer('of another client', 4 * MIB));
  for (const name of ['first', 'second']) {
    c.stream.answered(answer(name, MIB));
    await c.settle();
    c.take();
    await c.settle();
  }
  expect(c.sent.map((text) => text.slice(0, 6))).toEqual(['first.', 'second']);
});

test('an answer that waits for the room of the process is counted, or made again when there is room', async () => {
  const c = client({ hasRoom: false });
  c.stream.answered(answer('first', MIB));
  await c.settle();
  expect(c.waiting.chars).toBe(MIB);
  const release = c.waiting.hold('ada', answer('of another client', 3 * MIB));
  c.stream.answered(answer('second', 2 * MIB));
  await c.settle();
  expect([c.waiting.chars, c.sent]).toEqual([3 * MIB, []]);
  release?.();
  c.room();
  await c.settle();
  vi.advanceTimersByTime(1000);
  expect([c.again.mock.calls.length, c.sent]).toEqual([1, []]);
});

test('the answer of a query that has only one is refused without room; a small one ends the stream when it is sent', async () => {
  const c = client();
  c.stream.answered(answer('of a live query', MIB));
  await c.settle();
  c.waiting.hold('ada', answer('of another client', 4 * MIB));
  const once = c.opened();
  expect(once.answeredOnce('x'.repeat(MIB))).toBe(false);
  expect(once.answeredOnce('{"errors":[]}')).toBe(true);
  c.take();
  await c.settle();
  c.take();
  await c.settle();
  expect([c.sent[1], c.onEnd.mock.calls.length]).toEqual(['{"errors":[]}', 1]);
});

test('the answer of a query that has only one waits for the room of the process, and counts if there is room', async () => {
  for (const others of [0, 4 * MIB]) {
    const c = client({ hasRoom: false });
    const release = c.waiting.hold('ada', answer('of another client', others));
    expect(c.stream.answeredOnce('x'.repeat(MIB))).toBe(true);
    await c.settle();
    release?.();
    expect(c.waiting.chars).toBe(others === 0 ? MIB : 0);
    c.room();
    await c.settle();
    expect([c.sent.length, c.waiting.chars]).toEqual([1, 0]);
  }
});
