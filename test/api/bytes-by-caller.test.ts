/** What is counted for a caller is let go, whenever its stream ends. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { BytesByCaller } from '../../src/server/http/bytes-by-caller.js';

test('bytes count until the stream ends or closes, once', async () => {
  const held = new BytesByCaller();
  const stream = new PassThrough();
  let ends = 0;
  held.hold('ada', 10, { stream, events: ['finish', 'close'], onEnd: () => ends++ });
  held.hold('bob', 5, { stream: new PassThrough(), events: ['close'] });
  expect([held.of('ada'), held.of('bob'), held.total, ends]).toEqual([10, 5, 15, 0]);
  stream.end();
  stream.destroy();
  await once(stream, 'close');
  expect([held.of('ada'), held.of('bob'), held.total, ends]).toEqual([0, 5, 5, 1]);
});

test('bytes of a stream that has closed already are not counted', async () => {
  const held = new BytesByCaller();
  const stream = new PassThrough();
  stream.destroy();
  await once(stream, 'close');
  let ends = 0;
  held.hold('ada', 10, { stream, events: ['close'], onEnd: () => ends++ });
  expect([held.of('ada'), held.total, ends]).toEqual([0, 0, 1]);
});
