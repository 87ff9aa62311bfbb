/**
 * What real processes of this server send to Redis: log reads per request and Redis's CPU, by 1, 2 and 4 processes under an open loop; and, by
 * one client that waits for each response, what a request of each kind costs when it shares nothing.
 */

import { type CellSpec, CLIENTS } from './cells.js';
import { contender } from './contender.js';
import { type Cell, type RunningTurn, within } from './measure.js';
import type { Load, LoadFigures, LoadKind, LoadResults, LoneKind } from './scaling-results.js';
import { cheapest, leastDisturbed } from './scaling-rounds.js';
import { FRESH_SHARE, MIXED, type Mix, type Workload } from './workload.js';
import type { Tasks, World } from './world.js';

/** Reads of known keys, in the proportions of `mixed`. */
export const HITS: Mix = { Q1: 0.63, Q2: 0.21, Q3: 0.16 };
export const LOADS: readonly Load[] = [
  ...[250, 500, 1000, 2000].map((rate) => ({ kind: 'hits' as const, processes: 1, rate })),
  ...[100, 300, 600, 1000].map((rate) => ({ kind: 'mixed' as const, processes: 1, rate })),
  ...[2, 4].flatMap((processes) => [
    ...[1000, 2000].map((rate) => ({ kind: 'hits' as const, processes, rate })),
    ...[300, 600].map((rate) => ({ kind: 'mixed' as const, processes, rate })),
  ]),
];
const IDLE_RATE = 4;

type Next = CellSpec['next'] & CellSpec['warmUp'];
const NEXT: Readonly<Record<LoadKind, Next>> = {
  hits: (workload: Workload) => workload.next(HITS, 0),
  mixed: (workload: Workload) => workload.next(MIXED, FRESH_SHARE),
};
const LONE: Readonly<Record<LoneKind, Next>> = {
  kept: NEXT.hits,
  fresh: (workload) => workload.next(HITS, 1),
  write: (workload) => workload.next({ write: 1 }, 0),
  mixed: NEXT.mixed,
};

export async function measureLoads(options: {
  world: World;
  tasks: Tasks;
  rounds: number;
  seconds: number;
  seed: number;
  say: (line: string) => void;
}): Promise<LoadResults> {
  const { world, tasks, rounds, seconds, seed, say } = options;
  const found = new Map<string, LoadFigures[]>();
  const note = (what: string, cell: LoadFigures) => found.set(what, [...(found.get(what) ?? []), cell]);
  for (let round = 0; round < rounds; round++) {
    const turn = { world, tasks, contender: contender('tasks-api'), answers: {}, seed: seed + round, seconds };
    await within(turn, async (running) => {
      await warmUp(running);
      for (const [kind, next] of Object.entries(LONE)) note(kind, figuresOf(await running.measure(closed(next, 1))));
      note('busy', figuresOf(await running.measure(closed(NEXT.hits, CLIENTS))));
      note('idle, 1 process', figuresOf(await running.measure(open(NEXT.hits, IDLE_RATE))));
      for (const load of LOADS) {
        while (running.client.processes < load.processes) await running.addProcess();
        note(nameOf(load), figuresOf(await running.measure(open(NEXT[load.kind], load.rate))));
      }
      note('idle, 4 processes', figuresOf(await running.measure(open(NEXT.hits, IDLE_RATE))));
    });
    say(`loads: round ${round + 1} of ${rounds}`);
  }
  const lone = (what: string) => cheapest(found.get(what) ?? []);
  const kinds = Object.keys(LONE) as LoneKind[];
  const idleUs = (what: string) => {
    const { redisUs, perSecond } = lone(what);
    return redisUs * perSecond;
  };
  return {
    lone: Object.fromEntries(kinds.map((kind) => [kind, lone(kind)])) as Record<LoneKind, LoadFigures>,
    busy: lone('busy'),
    idle: { of1Us: idleUs('idle, 1 process'), of4Us: idleUs('idle, 4 processes') },
    loads: LOADS.map((load) => ({ ...load, ...leastDisturbed(found.get(nameOf(load)) ?? []) })),
  };
}

/** Code that has not run often enough is slower, and a process that serves for days has no such code. */
async function warmUp(running: RunningTurn): Promise<void> {
  for (const next of [NEXT.mixed, NEXT.hits]) {
    await running.measure(closed(next, CLIENTS));
  }
}

const closed = (next: Next, clients: number): CellSpec => ({ name: 'mixed', next, warmUp: next, clients });
const open = (next: Next, rate: number): CellSpec => ({ name: 'mixed', next, warmUp: next, clients: 1, rate });

const nameOf = ({ kind, processes, rate }: Load) => `${kind}, ${processes} processes, ${rate} a second`;

function figuresOf({
  requests,
  perSecond,
  redisByCommand,
  redisCpuMs,
  cpuMs,
  busy,
  burst,
  errors,
  first,
}: Cell): LoadFigures {
  if (errors > 0) throw new Error(`${errors} responses were wrong: ${first}`);
  return {
    requests,
    perSecond,
    logReadsPerRequest: (redisByCommand['xread'] ?? 0) / requests,
    redisUs: redisCpuMs * 1000,
    processUs: cpuMs * 1000,
    generatorBusy: busy,
    burst,
  };
}
