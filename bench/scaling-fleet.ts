/** The model's answers: beside what real processes sent, and for fleets that no machine here can run. */
import { modelCosts, SHARES } from './scaling-costs.js';
import { type ModelCosts, type Prediction, type Scenario, simulate } from './scaling-model.js';
import type { Load, LoadFigures, RedisCosts, ScalingResults } from './scaling-results.js';

const SEED = 1;
const CHECK_SECONDS = 10;
/** Requests that are simulated for a fleet, at most: enough for two digits. */
const FLEET_REQUESTS = 100_000;
/** The same while the largest fleet is searched for. */
const SEARCH_REQUESTS = 25_000;
const FLEET_SECONDS = 5;
/** Between a process and Redis in one data center, one way. */
const NETWORK_US = 100;
/** The share of its core at which a server counts as full: its queue is still short. */
const FULL = 0.8;
const MAX_PROCESSES = 100_000;

export interface Check {
  readonly load: Load & LoadFigures;
  readonly predicted: Prediction;
  /** The share of one core that Redis used. */
  readonly redisBusy: number;
}

/** Two cores: the generator, which never sleeps, has one, and the processes share the other with Redis. */
export function checks({ redis, loads }: Pick<ScalingResults, 'redis' | 'loads'>): Check[] {
  const costs = modelCosts(redis, loads);
  return loads.loads.map((load) => {
    const { kind, processes, rate, burst } = load;
    const scenario = {
      ...SHARES[kind],
      processes,
      rate,
      burst,
      readShare: 1 / processes,
      networkUs: 0,
      cores: 1,
      balancing: 'in turn' as const,
    };
    return {
      load,
      predicted: simulate({ ...scenario, seconds: CHECK_SECONDS, seed: SEED }, costs),
      redisBusy: (load.redisUs * load.perSecond) / 1e6,
    };
  });
}

/** `sticky`: all requests for a key meet one process. */
export interface Fleet {
  readonly processes: number;
  readonly ratePerProcess: number;
  readonly kind: Load['kind'];
  readonly sticky: boolean;
}

/** What the server of the log pays in a Cluster whose other shards hold tags and entries. */
export function costsOfLogServer(costs: ModelCosts, { steps }: RedisCosts): ModelCosts {
  const write =
    steps['fence without tags, 64 connections'].redisUs + steps['release without tags, 64 connections'].redisUs;
  const { kept, changed, fresh } = costs.kinds;
  const none = { redisUs: 0 };
  return {
    ...costs,
    kinds: {
      kept: { ...kept, ...none },
      changed: { ...changed, ...none },
      fresh: { ...fresh, ...none },
      write: { ...costs.kinds.write, redisUs: write },
    },
  };
}

export function simulateFleet(fleet: Fleet, costs: ModelCosts, requests = FLEET_REQUESTS): Prediction {
  const { processes, ratePerProcess, kind, sticky } = fleet;
  const rate = processes * ratePerProcess;
  const scenario: Scenario = {
    ...SHARES[kind],
    processes,
    rate,
    burst: 1,
    balancing: 'random',
    readShare: sticky ? 1 : 1 / processes,
    networkUs: NETWORK_US,
    unlimitedRedis: true,
    seconds: Math.min(FLEET_SECONDS, requests / rate),
    seed: SEED,
  };
  return simulate(scenario, costs);
}

/** The most processes whose demand leaves the server of the log a fifth of its core. */
export function processesAtFull(fleet: Omit<Fleet, 'processes'>, costs: ModelCosts): number {
  const fits = (processes: number) =>
    simulateFleet({ ...fleet, processes }, costs, SEARCH_REQUESTS).redisDemand <= FULL;
  let [low, high] = [1, 2];
  while (high < MAX_PROCESSES && fits(high)) [low, high] = [high, high * 2];
  while (high - low > Math.max(1, low / 50)) {
    const middle = (low + high) >> 1;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
