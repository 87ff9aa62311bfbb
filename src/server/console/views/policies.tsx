/** Each cached field and source: what it is asked for, what it is served from, and why it is loaded. */
import { Fragment } from 'preact';
import { useState } from 'preact/hooks';
import { POLICIES } from '../documents.js';
import { bytes, duration, NONE, number, percent, plural, timeOfDay } from '../format.js';
import { Badge, Columns, Empty, Fault, Shares } from '../parts.js';
import { linkTo, type Route, useActivity, useQuery } from '../session.js';
import type { Miss, Policy, PolicyActivity } from '../types.js';

const RELOAD_MS = 5000;

/** A policy with what it did since the page was opened. */
interface Row {
  readonly policy: Policy;
  readonly seen: PolicyActivity | undefined;
  readonly calls: number;
  readonly hitRate: number;
  readonly misses: number;
  readonly loadMs: number;
  readonly reasons: string;
}

interface Column {
  readonly key: string;
  readonly label: string;
  /** Narrow windows show it among the details only. */
  readonly rest?: boolean;
  readonly of: (row: Row) => string | number;
}

const COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Policy', of: ({ policy }: Row) => policy.name },
  { key: 'ttl', label: 'TTL', rest: true, of: ({ policy }: Row) => policy.ttlMs },
  { key: 'scope', label: 'Scope', rest: true, of: ({ policy }: Row) => policy.scope },
  { key: 'calls', label: 'Calls', of: ({ calls }: Row) => calls },
  { key: 'hits', label: 'Hit ratio', of: ({ hitRate }: Row) => hitRate },
  { key: 'misses', label: 'Misses', rest: true, of: ({ misses }: Row) => misses },
  { key: 'load', label: 'Load time', of: ({ loadMs }: Row) => loadMs },
  { key: 'entries', label: 'Entries', rest: true, of: ({ policy }: Row) => policy.memoryEntries },
  { key: 'bytes', label: 'Memory', rest: true, of: ({ policy }: Row) => policy.memoryBytes },
];
/** Numbers are aligned, and sorted from the largest. */
const TEXTS: ReadonlySet<string> = new Set(['name', 'scope']);

export function PoliciesView({ parameters }: Route) {
  const activity = useActivity();
  const { value, error } = useQuery<{ cachePolicies: readonly Policy[] }>(POLICIES, {}, RELOAD_MS);
  const [sort, setSort] = useState<{ readonly column: Column; readonly down: boolean }>({
    column: COLUMNS[3] as Column,
    down: true,
  });
  if (value === undefined) return error === undefined ? <Empty>Loading…</Empty> : <Fault>{error}</Fault>;
  const rows = value.cachePolicies.map((policy) => rowOf(policy, activity.policies.get(policy.name)));
  const { of } = sort.column;
  rows.sort((a, b) => (sort.down ? -1 : 1) * compare(of(a), of(b)) || compare(a.policy.name, b.policy.name));
  const open = parameters.get('policy');
  return (
    <>
      <p class="lead">
        Calls, hit ratio and load time since this page was opened, of all processes. Entries and memory of the process
        that serves it.
      </p>
      {error !== undefined && <Fault>{error}</Fault>}
      <div class="panel scroll">
        <table class="policies">
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <Heading
                  key={column.key}
                  column={column}
                  sorted={sort.column === column ? sort.down : undefined}
                  onSort={(down) => setSort({ column, down })}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Fragment key={row.policy.name}>
                <PolicyRow row={row} open={row.policy.name === open} />
                {row.policy.name === open && (
                  <Details row={row} misses={activity.misses.get(row.policy.name) ?? row.policy.lastMisses} />
                )}
              </Fragment>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rowOf(policy: Policy, seen: PolicyActivity | undefined): Row {
  if (seen === undefined) return { policy, seen, calls: 0, hitRate: 0, misses: 0, loadMs: 0, reasons: '' };
  const served = seen.nearHits + seen.hits + seen.stale + seen.joined;
  const calls = served + seen.misses + seen.bypasses + seen.errors;
  const reasons = [...seen.reasons].sort((a, b) => b.count - a.count);
  return {
    policy,
    seen,
    calls,
    hitRate: calls === 0 ? 0 : served / calls,
    misses: seen.misses + seen.bypasses + seen.errors,
    loadMs: seen.misses === 0 ? 0 : seen.missMs / seen.misses,
    reasons: reasons.map(({ reason, count }) => `${reason} ${number(count)}`).join(', '),
  };
}

interface HeadingProps {
  readonly column: Column;
  /** Undefined: not by this column. */
  readonly sorted: boolean | undefined;
  readonly onSort: (down: boolean) => void;
}

function Heading({ column: { key, label, rest }, sorted, onSort }: HeadingProps) {
  const direction = sorted === undefined ? undefined : sorted ? 'descending' : 'ascending';
  return (
    <th scope="col" class={`${TEXTS.has(key) ? '' : 'num'} ${rest ? 'rest' : ''}`} aria-sort={direction}>
      <button type="button" class="sort" onClick={() => onSort(sorted === undefined ? !TEXTS.has(key) : !sorted)}>
        {label}
        <span aria-hidden="true">{sorted === undefined ? '' : sorted ? ' ↓' : ' ↑'}</span>
      </button>
    </th>
  );
}

function PolicyRow({ row, open }: Readonly<{ row: Row; open: boolean }>) {
  const { policy, seen, calls, hitRate, misses, loadMs, reasons } = row;
  const parameters: Record<string, string> = open ? {} : { policy: policy.name };
  return (
    <tr class={open ? 'open' : ''}>
      <th scope="row">
        <a href={linkTo('policies', parameters)} aria-expanded={open}>
          {policy.name}
        </a>
      </th>
      <td class="num rest">{duration(policy.ttlMs)}</td>
      <td class="rest">{policy.scope}</td>
      <td class="num">{number(calls)}</td>
      <td class="num ratio">
        {seen === undefined || calls === 0 ? NONE : percent(hitRate)}
        {seen !== undefined && <Shares of={tiersOf(seen)} />}
      </td>
      <td class="num rest reasons">
        {number(misses)}
        <span class="note">{reasons}</span>
      </td>
      <td class="num">{loadMs === 0 ? NONE : duration(loadMs)}</td>
      <td class="num rest">{number(policy.memoryEntries)}</td>
      <td class="num rest">{bytes(policy.memoryBytes)}</td>
    </tr>
  );
}

function tiersOf(seen: PolicyActivity) {
  return [
    { name: 'memory', label: 'memory', count: seen.nearHits },
    { name: 'redis', label: 'Redis', count: seen.hits },
    { name: 'stale', label: 'stale', count: seen.stale },
    { name: 'joined', label: 'joined', count: seen.joined },
    { name: 'postgres', label: 'loaded', count: seen.misses },
    { name: 'bypassed', label: 'bypassed', count: seen.bypasses },
    { name: 'error', label: 'errors', count: seen.errors },
  ];
}

function Details({ row: { policy, reasons, seen }, misses }: Readonly<{ row: Row; misses: readonly Miss[] }>) {
  return (
    <tr class="details">
      <td colSpan={COLUMNS.length}>
        <dl class="pairs">
          <dt>Fields</dt>
          <dd>{policy.coordinates.length === 0 ? 'only as a part of others' : policy.coordinates.join(', ')}</dd>
          <dt>Policy</dt>
          <dd>
            {policy.scope}, {duration(policy.ttlMs)} to live
            {policy.staleMs > 0 && `, and ${duration(policy.staleMs)} longer while it is refreshed`}
          </dd>
          <dt>Held here</dt>
          <dd>
            {plural(policy.memoryEntries, 'entry', 'entries')}, {bytes(policy.memoryBytes)}
          </dd>
          <dt>Why it was loaded</dt>
          <dd>{reasons || 'not loaded'}</dd>
          <dt>Served</dt>
          <dd>{seen === undefined ? NONE : bytes(seen.servedBytes)}</dd>
          <dt>Today</dt>
          <dd>{todayOf(policy)}</dd>
        </dl>
        <h3>Last misses</h3>
        {misses.length === 0 ? <Empty>None since the console was opened.</Empty> : <Misses misses={misses} />}
      </td>
    </tr>
  );
}

function todayOf({ today }: Policy): string {
  if (today === null) return 'not called';
  const { nearHits, hits, stale, joined, misses, bypasses, errors, hitRate } = today;
  const calls = nearHits + hits + stale + joined + misses + bypasses + errors;
  return `${plural(calls, 'call')}${hitRate === null ? '' : `, ${percent(hitRate)} hits`}`;
}

function Misses({ misses }: Readonly<{ misses: readonly Miss[] }>) {
  return (
    <table class="misses">
      <Columns of={['Time', 'Why', ['Took', 'num'], 'Argument']} />
      <tbody>
        {misses.map((miss) => (
          <tr key={`${miss.at} ${miss.process} ${miss.key}`}>
            <td>{timeOfDay(miss.at)}</td>
            <td>
              <Badge name={miss.outcome === 'miss' ? 'postgres' : miss.outcome === 'error' ? 'error' : 'bypassed'}>
                {miss.reason}
              </Badge>
            </td>
            <td class="num">{duration(miss.ms)}</td>
            <td>
              <code>{miss.argument}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
