/** What the part with live queries prints. */
import type { Measured } from './measure.js';
import type { Quantiles } from './receipts.js';

const HEADER = [
  '| | clients | queries | writes | receipts per write | CPU ms per write: all | the write alone | the clients in quiet | the rest | ms per receipt of the rest | CPU µs per query and second | KiB per query | KiB per connection | p50 / p99 / max ms from acknowledgment to receipt | the same of the hot task | process of the clients busy | machine busy |',
  `|---|${'--:|'.repeat(16)}`,
];

export function tableOf(all: readonly Measured[]): string {
  return [...HEADER, ...all.map(lineOf)].join('\n');
}

function lineOf(one: Measured): string {
  const { writes, cpuMs, cpuOfWritesMs, cpuOfQuietMs, delays, queries, clients, seconds } = one;
  const quietMs = Math.max(0, cpuOfQuietMs);
  const restMs = Math.max(0, cpuMs - cpuOfWritesMs - quietMs);
  const perWrite = (ms: number) => (ms / Math.max(1, writes)).toFixed(1);
  const polled = one.name.endsWith('polled');
  const kib = (bytes: number, count: number) => (polled ? '' : (bytes / 1024 / count).toFixed(1));
  return `| ${[
    one.name,
    clients,
    queries,
    writes,
    (delays.all.count / Math.max(1, writes)).toFixed(1),
    perWrite(cpuMs),
    perWrite(cpuOfWritesMs),
    perWrite(quietMs),
    perWrite(restMs),
    (restMs / Math.max(1, delays.all.count)).toFixed(2),
    ((1000 * Math.max(0, cpuMs - cpuOfWritesMs)) / queries / seconds).toFixed(0),
    kib(one.queryBytes, queries),
    kib(one.connectionBytes, clients),
    quantiles(delays.all),
    quantiles(delays.hot),
    percent(one.clientsBusy),
    percent(one.machineBusy),
  ].join(' | ')} |`;
}

const quantiles = ({ p50, p99, max }: Quantiles) => [p50, p99, max].map((ms) => ms.toFixed(0)).join(' / ');

const percent = (share: number) => `${Math.round(100 * share)} %`;

/** What one poll and one live query cost in a second, and what polling all of them would take. */
export function comparisonOf(live: Measured, polled: Measured): string {
  const cores = ({ cpuMs, cpuOfWritesMs, seconds }: Measured) => Math.max(0, cpuMs - cpuOfWritesMs) / 1000 / seconds;
  const perQuery = (one: Measured) => (1e6 * cores(one)) / one.queries;
  const [pushed, pulled] = [perQuery(live), perQuery(polled)];
  return (
    `Without the writes themselves, a live query takes ${pushed.toFixed(0)} µs of CPU a second, and a query that is polled once a ` +
    `second ${pulled.toFixed(0)} µs: ${(pulled / pushed).toFixed(1)} times as much. Polling all ${live.queries} would take ` +
    `${((pulled * live.queries) / 1e6).toFixed(1)} cores of servers, if it grew in proportion; all of them live take ${cores(live).toFixed(2)}.`
  );
}
