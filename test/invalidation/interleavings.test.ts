/**
 * Every way in which one read can lie across one write, on real Redis and real Postgres: the read is held at one of its steps
 * when the write has come so far, and goes on when the write has come further.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataOf, eventually, type TestApp } from '../support/app.js';
import { type Point, Points, pointed } from './points.js';
import { lastOutcome, released, type World, world } from './world.js';

/** How far a write has come. Behind each: the point at which the writer is held then. */
const STAGES = ['not begun', 'written', 'fenced', 'committed', 'released'] as const;
type Stage = (typeof STAGES)[number];
const STOPS: Partial<Record<Stage, Point>> = {
  written: 'before fence',
  fenced: 'after fence',
  committed: 'before release',
  released: 'after release',
};
const reached = (stage: Stage, other: Stage) => STAGES.indexOf(stage) >= STAGES.indexOf(other);

/** Where the read is held: it has seen the tokens, or made those that there were none of; or has loaded and not yet stored. */
const READS = [
  { held: 'after a read', point: 'after read', mints: false },
  { held: 'after a read that mints', point: 'after read', mints: true },
  { held: 'before its fill', point: 'before fill', mints: false },
] as const;

/** All ways for a read to arrive at a point at one stage of the write, and to go on at the same or a later one. */
const SPANS = STAGES.slice(0, -1).flatMap((from) =>
  STAGES.filter((to) => reached(to, from)).map((to) => ({ from, to })),
);

let w: World;
let writer: TestApp;
let heldReads = 0;
const readerPoints = new Points();
const writerPoints = new Points();
const TIMES = 'query ($id: ID!) { task(id: $id) { version } }';
const COUNT = 'query ($id: ID!) { tasks(filter: { assignee: { id: { eq: $id } } }) { totalCount } }';
const RENAME = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { id } errors { message } } }';
const CREATE = 'mutation ($input: CreateTaskInput!) { createTask(input: $input) { task { id } errors { message } } }';

beforeAll(async () => {
  w = await world({ wrap: (store) => pointed(store, readerPoints) });
  writer = await w.second({ wrap: (store) => pointed(store, writerPoints) });
});
afterAll(() => w?.close());

/** A value that one write raises by one. */
interface Subject {
  readonly outcome: string;
  /** Occurs in the cache's key of the value, and in the names of its own tags. */
  readonly inKey: string;
  readonly inTags: string;
  read(app: TestApp): Promise<number>;
  write(): Promise<unknown>;
}

function versionOfTask(): Subject {
  const { f } = w;
  const id = (f.opsTasks[0] as (typeof f.opsTasks)[number]).id;
  return {
    outcome: 'Task',
    inKey: id,
    inTags: 'tasks:id=',
    read: async (app) => dataOf(await app.ask(TIMES, { as: f.ada.id, variables: { id } })).task.version,
    write: () =>
      writer.ask(RENAME, { as: f.ada.id, variables: { input: { id, title: `At ${performance.now()}` } } }).then(dataOf),
  };
}

function countOfList(): Subject {
  const { f } = w;
  return {
    outcome: 'TaskCount',
    inKey: f.bob.id,
    inTags: 'tasks:assignee_id=',
    read: async (app) => dataOf(await app.ask(COUNT, { as: f.ada.id, variables: { id: f.bob.id } })).tasks.totalCount,
    write: () =>
      writer
        .ask(CREATE, {
          as: f.ada.id,
          variables: { input: { projectId: f.ops.id, title: 'One more', assigneeId: f.bob.id } },
        })
        .then(dataOf),
  };
}

/** A write that goes on only as far as it is told. */
function steppedWrite(subject: Subject) {
  const gates = new Map(
    Object.entries(STOPS).map(([stage, point]) => [stage, writerPoints.hold(point, subject.inTags)]),
  );
  let stage: Stage = 'not begun';
  let answered: Promise<unknown> = Promise.resolve();
  return {
    get stage() {
      return stage;
    },
    async advance(): Promise<void> {
      const next = STAGES[STAGES.indexOf(stage) + 1] as Stage;
      if (stage === 'not begun') answered = subject.write();
      else gates.get(stage)?.open();
      await gates.get(next)?.arrived;
      stage = next;
    },
    /** Resolves when the mutation has answered: it does not wait for its release. */
    async finish(): Promise<void> {
      while (stage !== 'released') await this.advance();
      gates.get('released')?.open();
      await answered;
    },
    answered: () => answered,
  };
}

/** The value is in nobody's cache; if the read is to mint, its tags have no tokens either. A fence is never lost alone. */
async function makeCold(subject: Subject, mints: boolean): Promise<void> {
  const { client } = w.redis;
  for (const key of await client.keys(`*{${w.app.group}}*`)) {
    const isToken = async () => key.includes(subject.inTags) && !(await client.get(key))?.startsWith('!');
    if (key.includes(subject.inKey) || (mints && (await isToken()))) await client.del(key);
  }
}

async function expectOnBoth(subject: Subject, expected: number, when: string): Promise<void> {
  expect([await subject.read(w.app), await subject.read(writer)], when).toEqual([expected, expected]);
}

describe.each([
  ['a row', versionOfTask],
  ['a list', countOfList],
])('%s read before a write commits is never served after it', (_, make) => {
  describe.each(READS)('held $held', ({ point, mints }) => {
    test.each(SPANS)('from when the write is $from until it is $to', async ({ from, to }) => {
      const subject = make();
      const old = await subject.read(w.app);
      await released(w);
      const write = steppedWrite(subject);
      while (write.stage !== from) await write.advance();
      await makeCold(subject, mints);

      const held = readerPoints.hold(point, subject.inKey);
      const reading = subject.read(w.app);
      // Under a fence, or without a lease, there is nothing to hold: the read does not fill, and answers.
      if (await Promise.race([held.arrived.then(() => true), reading.then(() => point === 'before fill')])) heldReads++;

      while (write.stage !== to) {
        await write.advance();
        if (reached(write.stage, 'committed')) await expectOnBoth(subject, old + 1, `when ${write.stage}`);
      }
      held.open();
      const read = await reading;
      expect(read).toBeGreaterThanOrEqual(reached(from, 'committed') ? old + 1 : old);
      expect(read).toBeLessThanOrEqual(reached(to, 'committed') ? old + 1 : old);
      if (reached(write.stage, 'committed')) await expectOnBoth(subject, old + 1, 'when the held read has gone on');

      await write.finish();
      await expectOnBoth(subject, old + 1, 'when the mutation has answered');
      // And so it stays when all is at rest and served from the cache again.
      await eventually(async () => {
        await expectOnBoth(subject, old + 1, 'afterwards');
        expect(lastOutcome(w.app, subject.outcome)).toEqual({ kind: 'hit' });
        expect(lastOutcome(writer, subject.outcome)).toEqual({ kind: 'hit' });
      });
    });
  });
});

test('the reads above were really held', () => {
  // Those that come before the fence all are; later ones only where a read gets as far as the point.
  const early = SPANS.filter(({ from }) => !reached(from, 'fenced')).length * READS.length * 2;
  expect(heldReads).toBeGreaterThanOrEqual(0.9 * early);
});

test('a mutation answers before its release, and what it changed is read from Postgres until then', async () => {
  const subject = versionOfTask();
  const old = await subject.read(w.app);
  await released(w);
  const write = steppedWrite(subject);
  while (write.stage !== 'committed') await write.advance();
  await write.answered();
  await expectOnBoth(subject, old + 1, 'answered, not released');
  await write.finish();
  await eventually(async () => {
    await expectOnBoth(subject, old + 1, 'released');
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
  });
});

test('an uncommitted write is never shown, and hinders no reader', async () => {
  const subject = versionOfTask();
  const old = await subject.read(w.app);
  await released(w);
  const write = steppedWrite(subject);
  await write.advance();
  await expectOnBoth(subject, old, 'written');
  await write.advance();
  await expectOnBoth(subject, old, 'fenced');
  expect(lastOutcome(w.app, 'Task')?.kind).toBe('bypass');
  await write.finish();
  await expectOnBoth(subject, old + 1, 'committed');
});

test('of two writes at once the first to be over does not let readers store what the second makes old', async () => {
  const { f } = w;
  const third = await w.second({ wrap: (store) => pointed(store, thirdPoints) });
  // Two tasks of one list: the writes do not wait for each other's rows, only their fences meet.
  const counted = countOfList();
  const old = await counted.read(w.app);
  await released(w);
  const first = steppedWrite(counted);
  while (first.stage !== 'fenced') await first.advance();
  const stop = thirdPoints.hold('after fence', counted.inTags);
  const input = { id: (f.opsTasks[0] as (typeof f.opsTasks)[number]).id, assigneeId: f.bob.id };
  const second = third.ask(
    'mutation ($input: AssignTaskInput!) { assignTask(input: $input) { task { id } errors { message } } }',
    { as: f.ada.id, variables: { input } },
  );
  await stop.arrived;
  await first.finish();
  await expectOnBoth(counted, old + 1, 'the first is over, the second is not');
  expect(lastOutcome(w.app, 'TaskCount')?.kind).toBe('bypass');
  stop.open();
  dataOf(await second);
  await expectOnBoth(counted, old + 2, 'both are over');
  await eventually(async () => {
    await expectOnBoth(counted, old + 2, 'at rest');
    expect(lastOutcome(w.app, 'TaskCount')).toEqual({ kind: 'hit' });
  });
});
const thirdPoints = new Points();
