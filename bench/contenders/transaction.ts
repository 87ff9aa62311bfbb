/**
 * What this server's way to write adds: the same UPDATE in a plain transaction on tables without triggers, and through the transactor, which reads
 * back what the triggers named, fences it, commits, and releases it. One at a time, in turn; both in this one process.
 */
import 'reflect-metadata';
import { createCore, openStore } from '../../src/core.js';
import { createLog } from '../../src/platform/log.js';
import { memberId, taskId } from '../dataset.js';
import { options } from './child.js';
import { db, type TaskChange, updateWithin } from './plain.js';

export interface WriteTimes {
  /** ms of each write. */
  readonly plain: readonly number[];
  readonly transacted: readonly number[];
}

/** Of the first team. */
const TASKS = 400;
const WARM_UPS = 100;
const STATUSES = ['TODO', 'IN_PROGRESS', 'DONE'] as const;

const { seconds, fencedUrl } = JSON.parse(options.mode) as { seconds: number; fencedUrl: string };
const log = createLog('warn');
const store = await openStore({ url: options.redisUrl }, log);
const core = createCore({ databaseUrl: fencedUrl, store, log, checkCoverage: false });
await core.relay.start();

const changes = (n: number): TaskChange => {
  const id = taskId(1 + (n % TASKS));
  const kinds = [
    { title: `Written ${n}` },
    { description: `Words of write ${n}` },
    { status: STATUSES[n % STATUSES.length] as (typeof STATUSES)[number] },
    { assigneeId: memberId(1, n % 10) },
  ];
  return { id, ...kinds[n % kinds.length] };
};

async function timed(run: () => Promise<unknown>, into: number[]): Promise<void> {
  const startedMs = performance.now();
  await run();
  into.push(performance.now() - startedMs);
}

const times = { plain: [] as number[], transacted: [] as number[] };
let untilMs = Number.POSITIVE_INFINITY;
for (let n = 0; performance.now() < untilMs; n++) {
  if (n === WARM_UPS) {
    times.plain.length = 0;
    times.transacted.length = 0;
    untilMs = performance.now() + seconds * 1000;
  }
  const change = changes(n);
  await timed(() => db.write.transaction((tx) => updateWithin(tx, change)), times.plain);
  await timed(() => core.transactor.transact((tx) => updateWithin(tx, change)), times.transacted);
}
process.send?.({ kind: 'times', ...times } satisfies WriteTimes & { kind: 'times' });
