/** Answers of one connection: which is sent next, and which waits for room. */
import { setImmediate } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { UnreadResponses } from '../../src/server/http/unread-responses.js';
import { type Room, SendQueue } from '../../src/server/live/send-queue.js';
import { eventually } from '../support/app.js';

const KIB = 1024;
const MAX_BYTES = 16 * 1024 * KIB;

/** A connection whose network takes a message when the test says so. */
function connection(unread: UnreadResponses, caller: string) {
  const sent: string[] = [];
  const takers: (() => void)[] = [];
  const room: Room = {
    has: (bytes) => unread.allows(caller, bytes),
    when: (bytes, begin) => unread.whenAllowed(caller, bytes, begin),
  };
  const sendQueue = new SendQueue({
    room,
    send(message) {
      sent.push(message);
      const release = unread.hold(caller, message.length);
      return new Promise((resolve) => {
        takers.push(() => {
          release();
          resolve();
        });
      });
    },
    failed: () => {},
  });
  return { sendQueue, sent, taken: () => takers.shift()?.() };
}

/** Its message is the newest that was set. */
function sourceOf(sendQueue: SendQueue) {
  let message: string | undefined;
  const source = {
    get bytes() {
      return message?.length ?? 0;
    },
    waits: vi.fn(),
    take() {
      const newest = message;
      message = undefined;
      return newest;
    },
    sent() {},
  };
  return {
    source,
    set(next: string) {
      message = next;
      sendQueue.add(source);
    },
  };
}

test('an answer that waits for room is the newest when it is sent', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  const release = unread.hold('ada', MAX_BYTES);
  const { sendQueue, sent } = connection(unread, 'ada');
  const answers = sourceOf(sendQueue);
  answers.set('first');
  await setImmediate();
  answers.set('second');
  await setImmediate();
  expect(sent).toEqual([]);
  release();
  await eventually(() => expect(sent).toEqual(['second']));
});

test('room that becomes free goes to as many answers as fit, in their order', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  const release = unread.hold('mallory', MAX_BYTES);
  const clients = ['ada', 'bob', 'vic'].map((caller) => connection(unread, caller));
  for (const { sendQueue } of clients) {
    sourceOf(sendQueue).set('x'.repeat(MAX_BYTES / 2));
    await setImmediate();
  }
  release();
  await eventually(() => expect(clients[1]?.sent).toHaveLength(1));
  expect(clients.map(({ sent }) => sent.length)).toEqual([1, 1, 0]);
  expect(unread.bytes).toBe(MAX_BYTES);
  clients[0]?.taken();
  await eventually(() => expect(clients[2]?.sent).toHaveLength(1));
});

test('small answers are sent while the process has no room, although a large one waits before them', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  const { sendQueue, sent, taken } = connection(unread, 'ada');
  const [large, small] = [sourceOf(sendQueue), sourceOf(sendQueue)];
  large.set('x'.repeat(KIB * KIB));
  await eventually(() => expect(sent).toHaveLength(1));
  taken();
  small.set('one');
  await eventually(() => expect(sent.at(-1)).toBe('one'));
  taken();
  await setImmediate();
  unread.hold('mallory', MAX_BYTES);
  large.set('y'.repeat(KIB * KIB));
  await setImmediate();
  small.set('two');
  await eventually(() => expect(sent.at(-1)).toBe('two'));
  taken();
  small.set('three');
  await eventually(() => expect(sent.at(-1)).toBe('three'));
  expect(sent).toHaveLength(4);
});

test('a source that leaves while it waits makes way for the next, and nothing waits after the last', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  const release = unread.hold('ada', MAX_BYTES);
  const { sendQueue, sent, taken } = connection(unread, 'ada');
  const [first, second] = [sourceOf(sendQueue), sourceOf(sendQueue)];
  first.set('first');
  second.set('second');
  await setImmediate();
  sendQueue.remove(first.source);
  await setImmediate();
  release();
  await eventually(() => expect(sent).toEqual(['second']));
  taken();
  await setImmediate();
  first.set('again');
  await eventually(() => expect(sent).toEqual(['second', 'again']));
});

test('a caller whose share is used up waits, and others do not', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  unread.hold('ada', MAX_BYTES / 4);
  const [ada, bob] = [connection(unread, 'ada'), connection(unread, 'bob')];
  sourceOf(ada.sendQueue).set('for ada');
  sourceOf(bob.sendQueue).set('for bob');
  await eventually(() => expect(bob.sent).toEqual(['for bob']));
  expect(ada.sent).toEqual([]);
});

test('a first answer that is small is sent while others use up the room; a large one after a small one waits, and hears of it', async () => {
  const unread = new UnreadResponses({ maxBytes: MAX_BYTES });
  unread.hold('mallory', MAX_BYTES);
  const { sendQueue, sent, taken } = connection(unread, 'ada');
  const answers = sourceOf(sendQueue);
  answers.set('first');
  await eventually(() => expect(sent).toEqual(['first']));
  expect(answers.source.waits).not.toHaveBeenCalled();
  taken();
  await setImmediate();
  answers.set('x'.repeat(KIB * KIB));
  await eventually(() => expect(answers.source.waits).toHaveBeenCalledTimes(1));
  expect([sent.length, unread.bytes]).toEqual([1, MAX_BYTES]);
  answers.set('small again'); // in its place
  await eventually(() => expect(sent).toEqual(['first', 'small again']));
});
