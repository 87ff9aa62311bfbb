/**
 * What an operator watches of the cache, for prom-client: how cached calls end, and everything that should never or
 * rarely happen.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Cache, CacheEvents, CheckResult, StoreConnections, StoreStep } from '../cache/index.js';
import { SECOND } from '../cache/time.js';
import type { FenceEvents, RelayEvents } from '../postgres/index.js';
import { byLabel, showDurations } from './histograms.js';
import { PolicyCounts } from './policy-counts.js';

export { showDurations } from './histograms.js';

type CacheMetrics = Required<Omit<CacheEvents, 'fenceSeen' | 'roundTrip' | 'writeStep'>> &
  Required<Omit<RelayEvents, 'moved'>> &
  Required<FenceEvents>;

/** What is read when the metrics are read. */
type Watched = () => Pick<Cache, 'state' | 'store' | 'declared'>;

/**
 * Registers counters, gauges and histograms. Every label value that is known has its sample from the start, so that the
 * first increase is seen. `cache`: called when the metrics are read. Returns the listener that counts.
 */
export function cacheMetrics(registry: Registry, cache: Watched): CacheMetrics {
  const policies = new PolicyCounts(registry, cache);
  const counters = registerCounters(registry);
  registerGauges(registry, cache);
  registerConnections(registry, cache);
  return {
    outcome: ({ name, kind }) => policies.called(name, kind),
    loaded: ({ name, ms }) => policies.loaded(name, ms),
    checked: (result, { name }) => {
      counters.checks.inc({ result });
      if (result === 'violation') policies.violated(name);
    },
    storeFailed: (step) => counters.failures.inc({ step }),
    unfenced: () => counters.unfenced.inc(),
    old: () => counters.fences.inc(),
    validated: (held) => counters.validations.inc({ held: String(held) }),
    ticked: (tick) => {
      if (tick.late) counters.late.inc();
      counters.unleased.inc(tick.unleasedMs / SECOND);
    },
    forced: () => counters.forced.inc(),
    purged: () => counters.purges.inc(),
  };
}

const RESULTS: Readonly<Record<CheckResult, true>> = { same: true, changed: true, violation: true };
const STEPS: Readonly<Record<StoreStep, true>> = {
  read: true,
  fill: true,
  fence: true,
  release: true,
  refresh: true,
  validate: true,
};

function registerCounters(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const labelled = (name: string, help: string, [label, values]: [string, readonly string[]]) => {
    const made = new Counter({ name, help, labelNames: [label], registers });
    for (const value of values) made.inc({ [label]: value }, 0);
    return made;
  };
  return {
    checks: labelled('cache_monitor_checks_total', 'Hits compared with Postgres, by result.', [
      'result',
      Object.keys(RESULTS),
    ]),
    failures: labelled('cache_store_failures_total', 'Steps at which Redis failed.', ['step', Object.keys(STEPS)]),
    unfenced: counter(
      'cache_unfenced_commits_total',
      'Writes committed without a fence, because Redis was away or refused writes.',
    ),
    fences: counter('cache_old_fences_total', 'Fences met that were older than a second.'),
    validations: labelled('cache_snapshot_validations_total', 'Snapshots validated, by whether they held.', [
      'held',
      ['true', 'false'],
    ]),
    late: counter('cache_late_ticks_total', 'Ticks that found less than half of the lease left.'),
    unleased: counter('cache_unleased_seconds_total', 'Time without a lease, as this process saw it.'),
    forced: counter('cache_forced_leases_total', 'Leases granted over a transaction that wrote for too long.'),
    purges: counter('cache_purges_total', 'Groups whose entries were all voided.'),
  };
}

function registerGauges(registry: Registry, cache: Watched): void {
  const gauge = (name: string, help: string, read: () => number, aggregator: 'sum' | 'max' = 'sum') =>
    new Gauge({
      name,
      help,
      aggregator,
      registers: [registry],
      collect: function () {
        this.set(read());
      },
    });
  gauge('cache_near_entries', 'Entries in this process.', () => cache().state.near?.entries ?? 0);
  gauge('cache_near_bytes', 'Their estimated size.', () => cache().state.near?.bytes ?? 0);
  gauge('cache_loads_running', 'Loads running.', () => cache().state.loads.running);
  gauge('cache_loads_waiting', 'Loads in line.', () => cache().state.loads.waiting);
  gauge(
    'cache_store_lost_seconds',
    'For how long Redis has been away or refused writes, as this process knows; 0 while it takes them.',
    () => cache().store.outageMs() / SECOND,
    'max',
  );
}

/** What is known of the connections to Redis. Without Redis these families have no samples. */
function registerConnections(registry: Registry, cache: Watched): void {
  const registers = [registry];
  const connections = (): StoreConnections | undefined => cache().store.connections;
  new Gauge({
    name: 'cache_redis_up',
    help: 'Whether this process is connected to Redis, in a Cluster to the primary of every group.',
    aggregator: 'min', // of several processes: whether all are
    registers,
    collect() {
      const now = connections();
      if (now === undefined) this.remove();
      else this.set(now.up ? 1 : 0);
    },
  });
  new Counter({
    name: 'cache_redis_reconnects_total',
    help: 'Connections to Redis opened again, by why the one before ended or failed.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, times] of connections()?.reconnects ?? []) this.inc({ reason }, times);
    },
  });
  showDurations(registry, {
    name: 'cache_redis_trip_duration_seconds',
    help: 'Time of one trip to Redis, by kind, also of those that failed.',
    read: () => byLabel('kind', connections()?.trips ?? []),
  });
}
