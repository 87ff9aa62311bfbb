/** Metrics in Prometheus's text format: outcomes of cached calls, and counters of events that should be rare. */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type Cache, type CacheEvents, count } from '../engine/cache/index.js';
import type { FenceEvents, RelayEvents } from '../engine/postgres/index.js';
import { shared } from '../std/shared.js';
import { SECOND } from '../std/time.js';

export interface Metrics {
  readonly events: CacheEvents & RelayEvents & FenceEvents;
  /** A document ran that is not in the manifest. */
  unlistedDocument(): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/** @param cache called when the metrics are read */
export function createMetrics(cache: () => Cache): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  const calls = new Map<string, Map<string, number>>();
  // Counted by hand and exported on request: the library's own counting would take longer than most of the calls.
  new Counter({
    name: 'cache_calls_total',
    help: 'Cached calls, by policy and outcome.',
    labelNames: ['name', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const [name, outcomes] of calls) {
        for (const [outcome, count] of outcomes) this.inc({ name, outcome }, count);
      }
    },
  });
  const checks = counter('cache_monitor_checks_total', 'Hits compared with Postgres, by result.', 'result');
  const violations = counter('cache_violations_total', 'Hits proved to be stale; any is a bug.', 'name');
  const failures = counter('cache_store_failures_total', 'Steps at which Redis failed.', 'step');
  const unfenced = counter(
    'cache_unfenced_commits_total',
    'Writes committed without a fence, because Redis was unreachable or refused writes.',
  );
  const fences = counter('cache_old_fences_total', 'Fences found that were more than a second old.');
  const validations = counter('cache_snapshot_validations_total', 'Snapshot validations, by result.', 'held');
  const late = counter('cache_late_ticks_total', 'Relay ticks with less than half of the lease left.');
  const unleased = counter('cache_unleased_seconds_total', 'Time without a lease, as this process saw it.');
  const forced = counter(
    'cache_forced_leases_total',
    'Leases granted despite a transaction that has been writing for too long.',
  );
  const purges = counter('cache_purges_total', 'Invalidations of all entries of a group.');
  const unlisted = counter('graphql_unlisted_documents_total', 'Requests with documents that are not in the manifest.');
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect: function () {
        this.set(read());
      },
    });
  gauge('cache_near_entries', 'Near cache entries in this process.', () => cache().state.near?.entries ?? 0);
  gauge('cache_near_bytes', 'Estimated size of the near cache in bytes.', () => cache().state.near?.bytes ?? 0);
  gauge('cache_loads_running', 'Loads in progress.', () => cache().state.loads.running);
  gauge('cache_loads_waiting', 'Loads waiting to run.', () => cache().state.loads.waiting);
  gauge(
    'cache_store_lost_seconds',
    'Seconds since Redis became unreachable or began to refuse writes, as seen by this process; 0 while it ' +
      'accepts writes.',
    () => cache().store.outageMs() / SECOND,
  );
  return {
    events: {
      outcome: ({ name, kind }) => count(calls, name, kind),
      checked: (result, { name }) => {
        checks.inc({ result });
        if (result === 'violation') violations.inc({ name });
      },
      storeFailed: (step) => failures.inc({ step }),
      unfenced: () => unfenced.inc(),
      old: () => fences.inc(),
      validated: (held) => validations.inc({ held: String(held) }),
      ticked: (tick) => {
        if (tick.late) late.inc();
        unleased.inc(tick.unleasedMs / 1000);
      },
      forced: () => forced.inc(),
      purged: () => purges.inc(),
    },
    unlistedDocument: () => unlisted.inc(),
    contentType: registry.contentType,
    text: shared(() => registry.metrics()),
  };
}
