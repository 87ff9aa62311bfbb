/**
 * JSON beside MessagePack (msgpackr, with and without its records), for what entries hold: `npm run codec` in this folder prints
 * Markdown. From a value to the bytes that go to Redis, and from those that come back to a value: JSON's way leads through text.
 */
import { Packr } from 'msgpackr';
import { microseconds } from '../test/bench/timing.js';

const RUNS = 5000;

const task = (n: number) => ({
  id: `task_01jd${String(n).padStart(22, '0')}`,
  projectId: 'project_01jdz3v9m2f6n8q4r7t5w1x0yz',
  number: n,
  title: `Task ${n}: make it work, then make it right, then make it fast`,
  description: n % 3 === 0 ? null : 'A few words on what is to be done, and why – and until when. '.repeat(1 + (n % 4)),
  status: ['TODO', 'IN_PROGRESS', 'DONE'][n % 3],
  priority: 'NONE',
  assigneeId: n % 4 === 0 ? null : 'user_01jdz3v9m2f6n8q4r7t5w1x0yz',
  creatorId: 'user_01jdz3v9m2f6n8q4r7t5w1x0yz',
  parentId: null,
  dueDate: null,
  version: n % 17,
  createdAt: new Date(1_700_000_000_000 + n * 1000).toISOString(),
  updatedAt: new Date(1_700_000_000_000 + n * 5000).toISOString(),
  completedAt: null,
});
const ids = (count: number) => Array.from({ length: count }, (_, n) => task(n).id);
const VALUES = {
  'a task': task(7),
  '50 ids of a list': ids(50),
  statistics: {
    total: 20,
    byStatus: ['TODO', 'DONE'].map((status) => ({ status, count: 10 })),
    overdue: 3,
    median: 4.25,
  },
  '100 tasks': Array.from({ length: 100 }, (_, n) => task(n)),
};

const plain = new Packr({ useRecords: false });
const records = new Packr({ useRecords: true });
const CODECS = {
  JSON: {
    encode: (value: unknown) => Buffer.from(JSON.stringify(value)),
    decode: (bytes: Buffer) => JSON.parse(bytes.toString()),
  },
  msgpackr: { encode: (value: unknown) => plain.pack(value), decode: (bytes: Buffer) => plain.unpack(bytes) },
  'msgpackr, records': {
    encode: (value: unknown) => records.pack(value),
    decode: (bytes: Buffer) => records.unpack(bytes),
  },
};

console.log('| value | codec | bytes | encode, µs | decode, µs |\n|---|---|--:|--:|--:|');
for (const [what, value] of Object.entries(VALUES)) {
  for (const [name, { encode, decode }] of Object.entries(CODECS)) {
    const bytes = Buffer.from(encode(value));
    const runs = bytes.length > 10_000 ? RUNS / 50 : RUNS;
    const figures = [microseconds(() => encode(value), runs), microseconds(() => decode(bytes), runs)];
    console.log(`| ${what} | ${name} | ${bytes.length} | ${figures.map((us) => us.toFixed(2)).join(' | ')} |`);
  }
}
