/** The model's costs, from what was measured of Redis's steps and of single requests. Nothing is fitted to the loads that the model is checked with. */
import { currentShareOf } from './known-answers.js';
import type { ModelCosts, Scenario } from './scaling-model.js';
import type { LoadFigures, LoadKind, LoadResults, RedisCosts } from './scaling-results.js';
import { FRESH_SHARE, MIXED } from './workload.js';

export const SHARES: Readonly<Record<LoadKind, Pick<Scenario, 'writes' | 'fresh'>>> = {
  hits: { writes: 0, fresh: 0 },
  mixed: { writes: MIXED.write ?? 0, fresh: FRESH_SHARE },
};

export function modelCosts({ steps }: Pick<RedisCosts, 'steps'>, loads: LoadResults): ModelCosts {
  const { lone, busy, idle } = loads;
  const perRecord = (of: 'redisUs' | 'callerUs') =>
    (steps['log read, 64 connections, 100 records'][of] - steps['log read, 64 connections, 10 records'][of]) / 90;
  const logReadUs = steps['log read, 64 plain sockets'].redisUs;
  const redis = {
    logReadUs,
    wakeUs: Math.max(0, withoutTicks(lone.kept, loads).redisUs - logReadUs),
    recordUs: perRecord('redisUs'),
    idleUs: idle.of1Us,
    idlePerProcessUs: Math.max(0, (idle.of4Us - idle.of1Us) / 3),
  };
  const processLogReadUs = steps['log read, 1 connection, 64 at a time'].callerUs;
  // A kept answer of a client alone wakes the process twice: for the request, and for the reply of Redis.
  const keptUs = busy.processUs - busy.logReadsPerRequest * processLogReadUs;
  const process = {
    logReadUs: processLogReadUs,
    wakeUs: Math.max(0, (lone.kept.processUs - keptUs - processLogReadUs) / 2),
    recordUs: perRecord('callerUs'),
  };
  const kindOf = (figures: Figures) => {
    const logReads = Math.max(1, figures.logReadsPerRequest);
    return {
      processUs: Math.max(0, figures.processUs - logReads * process.logReadUs - (logReads + 1) * process.wakeUs),
      logReads,
      redisUs: Math.max(0, figures.redisUs - logReads * redis.logReadUs - (2 * logReads + 1) * redis.wakeUs),
    };
  };
  const kinds = {
    kept: { processUs: keptUs, logReads: 1, redisUs: 0 },
    changed: kindOf(changed(loads)),
    fresh: kindOf(withoutTicks(lone.fresh, loads)),
    write: kindOf(withoutTicks(lone.write, loads)),
  };
  return { redis, process, kinds };
}

type Figures = Pick<LoadFigures, 'processUs' | 'redisUs' | 'logReadsPerRequest'>;

/** A slow request is charged more ticks of the relay than a quick one. */
function withoutTicks(figures: LoadFigures, { idle }: LoadResults): Figures {
  return { ...figures, redisUs: figures.redisUs - idle.of1Us / figures.perSecond };
}

/** What is left of the mixed load when its other kinds are taken out, over its share. */
function changed(loads: LoadResults): Figures {
  const { writes, fresh } = SHARES.mixed;
  const known = (1 - writes) * (1 - fresh);
  const kept = known * currentShareOf({ ...SHARES.mixed, readShare: 1 });
  const [all, ofKept, ofFresh, ofWrite] = (['mixed', 'kept', 'fresh', 'write'] as const).map((kind) =>
    withoutTicks(loads.lone[kind], loads),
  ) as [Figures, Figures, Figures, Figures];
  const of = (name: keyof Figures) =>
    (all[name] - kept * ofKept[name] - (1 - writes) * fresh * ofFresh[name] - writes * ofWrite[name]) / (known - kept);
  return { processUs: of('processUs'), redisUs: of('redisUs'), logReadsPerRequest: of('logReadsPerRequest') };
}
