/**
 * What an operator watches of the cache, for prom-client: how cached calls end, and everything that should never or
 * rarely happen.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { type Cache, type CacheEvents, count } from '../cache/index.js';
import { SECOND } from '../cache/time.js';
import type { FenceEvents, RelayEvents } from '../postgres/index.js';

type CacheMetrics = Required<Omit<CacheEvents, 'fenceSeen'>> &
  Required<Omit<RelayEvents, 'moved'>> &
  Required<FenceEvents>;

/** Registers counters and gauges. `cache`: asked when the metrics are read. Returns the listener that counts. */
export function cacheMetrics(registry: Registry, cache: () => Pick<Cache, 'state' | 'store'>): CacheMetrics {
  const outcome = callCounter(registry);
  const counters = registerCounters(registry);
  registerGauges(registry, cache);
  return {
    outcome,
    checked: (result, { name }) => {
      counters.checks.inc({ result });
      if (result === 'violation') counters.violations.inc({ name });
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

/**
 * Counts in a map of its own, which is handed over when the metrics are read: the library's own counting would take
 * longer than most of the calls.
 */
function callCounter(registry: Registry): CacheMetrics['outcome'] {
  const calls = new Map<string, Map<string, number>>();
  new Counter({
    name: 'cache_calls_total',
    help: 'Cached calls, by policy and outcome.',
    labelNames: ['name', 'outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [name, outcomes] of calls) {
        for (const [outcome, count] of outcomes) this.inc({ name, outcome }, count);
      }
    },
  });
  return ({ name, kind }) => count(calls, name, kind);
}

function registerCounters(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  return {
    checks: counter('cache_monitor_checks_total', 'Hits compared with Postgres, by result.', 'result'),
    violations: counter('cache_violations_total', 'Hits proved old: any is a bug.', 'name'),
    failures: counter('cache_store_failures_total', 'Steps at which Redis failed.', 'step'),
    unfenced: counter(
      'cache_unfenced_commits_total',
      'Writes committed without a fence, because Redis was away or refused writes.',
    ),
    fences: counter('cache_old_fences_total', 'Fences met that were older than a second.'),
    validations: counter('cache_snapshot_validations_total', 'Snapshots validated, by whether they held.', 'held'),
    late: counter('cache_late_ticks_total', 'Ticks that found less than half of the lease left.'),
    unleased: counter('cache_unleased_seconds_total', 'Time without a lease, as this process saw it.'),
    forced: counter('cache_forced_leases_total', 'Leases granted over a transaction that wrote for too long.'),
    purges: counter('cache_purges_total', 'Groups whose entries were all voided.'),
  };
}

function registerGauges(registry: Registry, cache: () => Pick<Cache, 'state' | 'store'>): void {
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
