/**
 * One hot task: a thousand readers of it in closed loops over four API processes, and one writer, over a fifth, who invalidates it ten
 * times a second. However many ask, each process fills the entry once for each invalidation.
 */
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { sleep } from '../chaos/wait.js';
import type { Check } from './checks.js';
import { countOf, sinceText, sumOf } from './counts.js';
import { Acknowledged, Tally } from './tally.js';
import { PROCESSES, type World } from './world.js';

const WRITE_EVERY_MS = 100;
const WARM_UP_MS = 1000;
/** After the last answer: for fills that nobody awaits. */
const SETTLE_MS = 300;

const TASK = 'query ($id: ID!) { task(id: $id) { id version title } }';
const UPDATE = `mutation ($input: UpdateTaskInput!) {
  updateTask(input: $input) { task { id version } errors { message } }
}`;

interface Updated {
  readonly updateTask: { readonly task: { readonly version: number } | null; readonly errors: readonly unknown[] };
}

export const HOT_HEADER = [
  `| near cache | readers | requests/s | p50 ms | p99 ms | max ms | errors | stale | invalidations (median ms of a write) | SELECTs of the row | loads per invalidation: filling | under the fence | other | all | calls that joined a load | generator busy |`,
  '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
];

/** @returns a line of the table */
export async function measureHot(
  world: World,
  options: { nearCache: boolean; readers: number; seconds: number; check: Check; say: (line: string) => void },
): Promise<string> {
  const { apis, writing, headers, fixture } = world;
  const { nearCache, readers, seconds, check, say } = options;
  const id = (fixture.opsTasks[0] as (typeof fixture.opsTasks)[number]).id;
  const read = JSON.stringify({ query: TASK, variables: { id } });
  const acknowledged = new Acknowledged();
  const apiOf = (i: number) => apis[i % PROCESSES] as (typeof apis)[number];
  let reads = new Tally();
  let writes = new Tally();
  let stopped = false;

  const readLoop = async (i: number) => {
    while (!stopped) {
      const into = reads;
      const startedMs = performance.now();
      try {
        const { task } = await apiOf(i).ask<{ task: { version: number } | null }>(read, headers);
        if (task === null) throw new Error('the task is gone');
        const least = acknowledged.before(id, startedMs);
        if (task.version < least) into.stale(`version ${task.version}, ${least} was acknowledged before`);
        into.ok(performance.now() - startedMs);
      } catch (error) {
        into.error(error);
      }
    }
  };
  const writeLoop = async () => {
    for (let n = 0; !stopped; n++) {
      const startedMs = performance.now();
      try {
        const body = JSON.stringify({ query: UPDATE, variables: { input: { id, title: `Hot ${n}` } } });
        const { updateTask } = await (writing ?? apiOf(n)).ask<Updated>(body, headers);
        if (updateTask.task === null) throw new Error(JSON.stringify(updateTask.errors));
        acknowledged.add(id, updateTask.task.version);
        writes.ok(performance.now() - startedMs);
      } catch (error) {
        writes.error(error);
      }
      await sleep(Math.max(0, startedMs + WRITE_EVERY_MS - performance.now()));
    }
  };

  const readLoops = Array.from({ length: readers }, (_, i) => readLoop(i));
  const writeLoops = [writeLoop()];
  await sleep(WARM_UP_MS);
  const before = sumOf(await Promise.all(apis.map((api) => api.count())));
  // Counted from here on; what is under way counts where it began, which is some loads of thousands.
  reads = new Tally();
  writes = new Tally();
  const startedMs = performance.now();
  const busySince = performance.eventLoopUtilization();
  await sleep(seconds * 1000);
  const busy = share(performance.eventLoopUtilization(busySince));
  const measuredS = (performance.now() - startedMs) / 1000;
  stopped = true;
  await Promise.all([...readLoops, ...writeLoops]);
  await sleep(SETTLE_MS);
  const after = sumOf(await Promise.all(apis.map((api) => api.count())));

  const calls = (pattern: RegExp) => countOf(after, pattern) - countOf(before, pattern);
  const filling = calls(/^Task miss /);
  const fenced = calls(/^Task bypass fenced/);
  const selects = after.taskSelects - before.taskSelects;
  const { answers, errors, stale } = reads.counts;
  const { answers: invalidations, errors: writeErrors } = writes.counts;
  const each = (loads: number) => loads / Math.max(1, invalidations);
  const name = `hot, near cache ${nearCache ? 'on' : 'off'}`;
  const first = [reads.first, writes.first].filter((text) => text !== undefined).join('; ');
  check(
    `${name}: no error (reads ${errors}, writes ${writeErrors})${first && `: ${first}`}`,
    errors + writeErrors === 0 && answers > 0,
  );
  check(`${name}: nothing stale (${stale} of ${answers})`, stale === 0);
  check(
    `${name}: at most ${PROCESSES} filling loads per invalidation (${each(filling).toFixed(2)}; all loads together ` +
      `${each(selects).toFixed(2)}, which is ${each(selects) <= PROCESSES ? 'also within' : 'NOT within'} ${PROCESSES})`,
    invalidations > 0 && each(filling) <= PROCESSES,
  );
  say(`- calls of Task: ${sinceText(after.outcomes, before.outcomes, /^Task /)}`);
  say(
    `- failures of the store: ${sinceText(after.failures, before.failures, /./)}; stalls up to ${after.stallMs.toFixed(0)} ms`,
  );
  const { p50, p99, max } = reads.latency;
  return `| ${[
    nearCache ? 'on' : 'off',
    readers,
    Math.round(answers / measuredS),
    p50.toFixed(0),
    p99.toFixed(0),
    max.toFixed(0),
    errors,
    stale,
    `${invalidations} (${writes.latency.p50.toFixed(0)})`,
    selects,
    each(filling).toFixed(2),
    each(fenced).toFixed(2),
    Math.max(0, each(selects - filling - fenced)).toFixed(2),
    each(selects).toFixed(2),
    calls(/^Task joined /),
    `${busy} %`,
  ].join(' | ')} |`;
}

function share({ utilization }: EventLoopUtilization): number {
  return Math.round(100 * utilization);
}
