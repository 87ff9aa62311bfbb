/** Whether the cache keeps its promises, and what it waits for. */
import { bytes, duration, NONE, number, percent, plural } from '../format.js';
import { Badge, Empty, Meter, Panel } from '../parts.js';
import { useActivity } from '../session.js';
import type { ActivityMessage, HealthState, ProcessInfo } from '../types.js';

type Verdict = 'good' | 'look' | 'bad' | 'unknown';

interface Check {
  readonly label: string;
  readonly value: string;
  readonly verdict: Verdict;
  /** What it means, in words. */
  readonly note: string;
}

const VERDICTS: Readonly<Record<Verdict, { readonly name: string; readonly label: string }>> = {
  good: { name: 'kept', label: 'good' },
  look: { name: 'postgres', label: 'look' },
  bad: { name: 'error', label: 'bad' },
  unknown: { name: 'joined', label: '?' },
};
/** As many rows as are counted. */
const MAX_OUTBOX_ROWS = 10_000;
const LAG_LOOK_MS = 2000;

export function HealthView() {
  const { latest } = useActivity();
  if (latest === undefined) return <Empty>The first figures come within a second or two.</Empty>;
  return (
    <>
      <Summary checks={[...promises(latest.health), ...redis(latest), ...postgres(latest)]} />
      <div class="columns">
        <Checks title="Freshness" checks={promises(latest.health)} />
        <Checks title="Redis" checks={redis(latest)} />
        <Checks title="Postgres and callers" checks={postgres(latest)} />
        <Pools processes={latest.processes} />
      </div>
      <p class="note">Totals of all processes, each since its start. Rates of the last second.</p>
    </>
  );
}

function Summary({ checks }: Readonly<{ checks: readonly Check[] }>) {
  const bad = checks.filter(({ verdict }) => verdict === 'bad');
  const look = checks.filter(({ verdict }) => verdict === 'look');
  if (bad.length > 0) {
    return <p class="verdict is-bad">Something is wrong: {bad.map(({ label }) => label.toLowerCase()).join(', ')}.</p>;
  }
  if (look.length === 0) return <p class="verdict is-good">All is well.</p>;
  return <p class="verdict is-look">Worth a look: {look.map(({ label }) => label.toLowerCase()).join(', ')}.</p>;
}

function zeroIsGood(count: number, otherwise: Verdict): Verdict {
  return count === 0 ? 'good' : otherwise;
}

function promises(health: HealthState): readonly Check[] {
  return [
    {
      label: 'Violations',
      value: number(health.violations),
      verdict: zeroIsGood(health.violations, 'bad'),
      note: `old values that the monitor found in ${plural(health.checks, 'compared hit')}`,
    },
    {
      label: 'Unfenced commits',
      value: number(health.unfencedCommits),
      verdict: zeroIsGood(health.unfencedCommits, 'look'),
      note: 'writes that committed while Redis took no fence; each was answered 2 s later',
    },
    {
      label: 'Old fences',
      value: number(health.oldFences),
      verdict: zeroIsGood(health.oldFences, 'look'),
      note: 'fences older than a second that readers met',
    },
    {
      label: 'Forced leases',
      value: number(health.forcedLeases),
      verdict: zeroIsGood(health.forcedLeases, 'look'),
      note: 'granted although an old transaction was still open',
    },
  ];
}

function redis({ health, groups }: ActivityMessage): readonly Check[] {
  const leased = groups.filter(({ leaseLeftMs }) => leaseLeftMs > 0).length;
  return [
    {
      label: 'Connection',
      value: health.outageMs === 0 ? 'up' : `away for ${duration(health.outageMs)}`,
      verdict: zeroIsGood(health.outageMs, 'bad'),
      note: health.outageReason ?? 'all processes reach it',
    },
    {
      label: 'Circuit breakers open',
      value: number(health.breakersOpen),
      verdict: zeroIsGood(health.breakersOpen, 'bad'),
      note: 'an open one does not wait for Redis',
    },
    {
      label: 'Groups with a lease',
      value: `${leased} of ${groups.length}`,
      verdict: groups.length > 0 && leased === groups.length ? 'good' : 'bad',
      note: 'without one nothing is served from the cache',
    },
    {
      label: 'Time without a lease',
      value: duration(health.unleasedMs),
      verdict: 'good',
      note: 'in total, including the time before the first lease',
    },
    {
      label: 'Failed steps',
      value: number(health.storeFailures),
      verdict: zeroIsGood(health.storeFailures, 'look'),
      note: `${plural(health.purges, 'purge')} of all entries`,
    },
  ];
}

function postgres({ health, relay }: ActivityMessage): readonly Check[] {
  const rows = health.outboxRows;
  const more = rows !== null && rows >= MAX_OUTBOX_ROWS;
  return [
    {
      label: 'Relay',
      value: relay.appliedAt === null ? 'not seen' : `${duration(relay.lagMs)} ago`,
      verdict: relay.appliedAt !== null && relay.lagMs < LAG_LOOK_MS ? 'good' : 'bad',
      note: `${plural(relay.lagTransactions, 'transaction')} behind, ${plural(health.lateTicks, 'late tick')}`,
    },
    {
      label: 'Outbox',
      value: rows === null ? NONE : `${number(rows)}${more ? ' or more' : ''} rows`,
      verdict: rows === null ? 'unknown' : 'good',
      note: health.outboxBytes === null ? 'not read yet' : `${bytes(health.outboxBytes)}, kept for an hour`,
    },
    {
      label: 'Refused requests',
      value: `${number(health.rateLimited)}/s`,
      verdict: zeroIsGood(health.rateLimited, 'look'),
      note: `of ${plural(health.rateLimitedCallers, 'caller')} over the rate limit`,
    },
  ];
}

function Checks({ title, checks }: Readonly<{ title: string; checks: readonly Check[] }>) {
  return (
    <Panel title={title}>
      <ul class="checks">
        {checks.map(({ label, value, verdict, note }) => (
          <li key={label}>
            <span class="label">{label}</span>
            <span class="value">{value}</span>
            <Badge name={VERDICTS[verdict].name}>{VERDICTS[verdict].label}</Badge>
            <span class="note">{note}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Pools({ processes }: Readonly<{ processes: readonly ProcessInfo[] }>) {
  return (
    <Panel title="Pools and subscriptions">
      <ul class="checks pools">
        {processes.map((one) => (
          <li key={one.id}>
            <span class="label">pid {one.pid}</span>
            <span class="value">
              {plural(one.subscriptions, 'subscription')} · {plural(one.liveQueries, 'live query', 'live queries')}
            </span>
            <Pool label="loads" running={one.loadsRunning} waiting={one.loadsWaiting} max={one.maxLoads} />
            <Pool label="reads" running={one.readsRunning} waiting={one.readsWaiting} max={one.maxReads} />
            <Pool label="writes" running={one.writesRunning} waiting={one.writesWaiting} max={one.maxWrites} />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

interface PoolProps {
  readonly label: string;
  readonly running: number;
  readonly waiting: number;
  readonly max: number;
}

function Pool({ label, running, waiting, max }: PoolProps) {
  const share = max === 0 ? '' : `, ${percent(running / max)} in use`;
  return (
    <span class="pool">
      <span>{label}</span>
      <Meter value={running} max={max} label={`${running} of ${max} ${label}${share}`} />
      <span class="num">
        {running} of {max}
        {waiting > 0 && `, ${number(waiting)} waiting`}
      </span>
    </span>
  );
}
