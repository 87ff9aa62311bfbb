/** Several rounds as one, and two runs as one: other work on the machine makes steps dearer, never cheaper. */
import type { LoadFigures, LoneKind, RedisCosts, ScalingResults, StepName } from './scaling-results.js';
import { median } from './tally.js';

/** What a request costs when nothing else runs: the lowest of the rounds. */
export function cheapest(rounds: readonly LoadFigures[]): LoadFigures {
  const of = (name: keyof LoadFigures) => rounds.map((cell) => cell[name]);
  return {
    requests: of('requests').reduce((sum, count) => sum + count, 0),
    perSecond: Math.max(...of('perSecond')),
    logReadsPerRequest: median(of('logReadsPerRequest')),
    redisUs: Math.min(...of('redisUs')),
    processUs: Math.min(...of('processUs')),
    generatorBusy: median(of('generatorBusy')),
    burst: median(of('burst')),
  };
}

/** Rounds that differ by less in their log reads are taken as equal. */
const SAME = 0.95;

/**
 * The round that was disturbed least: requests of a process that has to wait for a core share log reads that they would not share otherwise. Of
 * equal rounds the one in which Redis used least.
 */
export function leastDisturbed(rounds: readonly LoadFigures[]): LoadFigures {
  const most = Math.max(...rounds.map(({ logReadsPerRequest }) => logReadsPerRequest));
  const [first] = rounds
    .filter(({ logReadsPerRequest }) => logReadsPerRequest >= most * SAME)
    .toSorted((a, b) => a.redisUs - b.redisUs);
  if (first === undefined) throw new Error('expected a round');
  return first;
}

/** `later` ran on the same machine. */
export function mergedRuns(earlier: ScalingResults, later: ScalingResults): ScalingResults {
  const { lone, busy, idle, loads } = earlier.loads;
  const kinds = Object.keys(lone) as LoneKind[];
  return {
    ...later,
    redis: { steps: cheapestSteps(earlier.redis.steps, later.redis.steps), entries: later.redis.entries },
    loads: {
      lone: Object.fromEntries(
        kinds.map((kind) => [kind, cheapest([lone[kind], later.loads.lone[kind]])]),
      ) as typeof lone,
      busy: cheapest([busy, later.loads.busy]),
      idle: {
        of1Us: Math.min(idle.of1Us, later.loads.idle.of1Us),
        of4Us: Math.min(idle.of4Us, later.loads.idle.of4Us),
      },
      loads: loads.map((load, i) => ({ ...load, ...leastDisturbed([load, later.loads.loads[i] ?? load]) })),
    },
  };
}

function cheapestSteps(earlier: RedisCosts['steps'], later: RedisCosts['steps']): RedisCosts['steps'] {
  const names = Object.keys(later) as StepName[];
  const cheaper = (name: StepName) => (earlier[name].redisUs < later[name].redisUs ? earlier[name] : later[name]);
  return Object.fromEntries(names.map((name) => [name, cheaper(name)])) as typeof later;
}
