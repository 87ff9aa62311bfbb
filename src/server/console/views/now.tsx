/** What the cache does now: requests by how they are answered, work done and saved, leases, relay, processes. */
import { useMemo } from 'preact/hooks';
import type { Activity } from '../activity.js';
import { StackedChart } from '../chart.js';
import { ago, bytes, duration, NONE, number, percent, plural } from '../format.js';
import { ANSWERS, Badge, Columns, Empty, Figure, Meter, Panel, Shares } from '../parts.js';
import { useActivity } from '../session.js';
import type {
  ActivityMessage,
  AnswerCounts,
  Group,
  LiveActivity,
  OperationActivity,
  ProcessInfo,
  Relay,
} from '../types.js';

/** The length of a lease: see the engine. */
const LEASE_MS = 2000;
/** Figures are means of this many messages: one second jumps. */
const FIGURES_OF = 5;

export function NowView() {
  const activity = useActivity();
  const { latest } = activity;
  if (latest === undefined) return <Empty>The first figures come within a second or two.</Empty>;
  return (
    <>
      <Figures messages={activity.messages.slice(-FIGURES_OF)} />
      <Charts activity={activity} />
      <Operations activity={activity} />
      <LiveQueries messages={activity.messages.slice(-FIGURES_OF)} />
      <div class="columns">
        <Leases groups={latest.groups} relay={latest.relay} />
        <Processes processes={latest.processes} serving={latest.process} />
      </div>
    </>
  );
}

function Figures({ messages }: Readonly<{ messages: readonly ActivityMessage[] }>) {
  const seconds = messages.reduce((sum, { intervalMs }) => sum + intervalMs / 1000, 0);
  const total = (of: (message: ActivityMessage) => number) => messages.reduce((sum, message) => sum + of(message), 0);
  const rate = (of: (message: ActivityMessage) => number) => total(of) / seconds;
  const operations = total(({ work }) => work.operations);
  const { kept, memory, redis } = {
    kept: total(({ work }) => work.answered.kept),
    memory: total(({ work }) => work.answered.memory),
    redis: total(({ work }) => work.answered.redis),
  };
  return (
    <dl class="figures">
      <Figure label="Requests" value={`${number(operations / seconds)}/s`} note={`mean of ${FIGURES_OF} s`} />
      <Figure
        label="Answered without Postgres"
        value={operations === 0 ? NONE : percent((kept + memory + redis) / operations)}
        note={operations === 0 ? 'no requests' : `${percent(kept / operations)} were kept answers`}
      />
      <Saving
        label="SQL statements"
        done={rate(({ work }) => work.sqlStatements)}
        saved={rate(({ work }) => work.sqlStatementsSaved)}
      />
      <Saving
        label="Redis reads"
        done={rate(({ work }) => work.redisReads)}
        saved={rate(({ work }) => work.redisReadsSaved)}
        note={`${number(rate(({ work }) => work.redisRoundTrips))}/s round trips in all`}
      />
    </dl>
  );
}

function Saving({ label, done, saved, note }: Readonly<{ label: string; done: number; saved: number; note?: string }>) {
  const share = saved === 0 ? '' : ` (${percent(saved / (saved + done))})`;
  return (
    <Figure
      label={label}
      value={`${number(done)}/s`}
      note={
        <>
          {number(saved)}/s saved{share}
          {note !== undefined && <span class="more">{note}</span>}
        </>
      }
    />
  );
}

const DONE_AND_SAVED = [
  { name: 'done', label: 'done' },
  { name: 'saved', label: 'saved', title: 'A lower bound of what the same requests need without the cache' },
];

function Charts({ activity: { messages, latest } }: Readonly<{ activity: Activity }>) {
  const { times, answers, sql, reads } = useMemo(() => {
    const rates = (of: (message: ActivityMessage) => number) =>
      messages.map((message) => (of(message) * 1000) / message.intervalMs);
    return {
      times: messages.map(({ at }) => Date.parse(at) / 1000),
      answers: ANSWERS.map(({ key }) => rates(({ work }) => work.answered[key])),
      sql: [rates(({ work }) => work.sqlStatements), rates(({ work }) => work.sqlStatementsSaved)],
      reads: [rates(({ work }) => work.redisReads), rates(({ work }) => work.redisReadsSaved)],
    };
  }, [latest]);
  const series = ANSWERS.map(({ key, label, title }) => ({ name: key, label, title }));
  return (
    <>
      <Panel title="Requests by how they are answered">
        <StackedChart label="Requests" unit="requests/s" series={series} times={times} values={answers} />
      </Panel>
      <div class="columns">
        <Panel title="SQL statements">
          <StackedChart label="SQL statements" unit="statements/s" series={DONE_AND_SAVED} times={times} values={sql} />
        </Panel>
        <Panel title="Redis reads">
          <StackedChart label="Redis reads" unit="reads/s" series={DONE_AND_SAVED} times={times} values={reads} />
        </Panel>
      </div>
    </>
  );
}

export function answerShares(answered: AnswerCounts) {
  return ANSWERS.map(({ key, label }) => ({ name: key, label, count: answered[key] }));
}

function Operations({ activity }: Readonly<{ activity: Activity }>) {
  const { seconds, operations } = activity.recentOperations();
  return (
    <Panel title="Operations" aside={`last ${Math.round(seconds)} s`}>
      {operations.length === 0 ? (
        <Empty>No operation has run in the last {Math.round(seconds)} seconds.</Empty>
      ) : (
        <div class="scroll">
          <table>
            <Columns of={['Name', ['/s', 'num'], ['p50', 'num'], ['p95', 'num'], ['Answered by', 'wide']]} />
            <tbody>
              {operations.map((operation) => (
                <OperationRow key={operation.name} operation={operation} seconds={seconds} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

/** Delays are those of the worst of the last seconds. */
function LiveQueries({ messages }: Readonly<{ messages: readonly ActivityMessage[] }>) {
  const processes = messages.at(-1)?.processes ?? [];
  const open = (of: (process: ProcessInfo) => number) => processes.reduce((sum, process) => sum + of(process), 0);
  const seconds = messages.reduce((sum, { intervalMs }) => sum + intervalMs / 1000, 0);
  const rate = (of: (live: LiveActivity) => number) =>
    `${number(messages.reduce((sum, { live }) => sum + of(live), 0) / seconds)}/s`;
  const changed = messages.some(({ live }) => live.sent > 0);
  const worst = (of: (live: LiveActivity) => number) => Math.max(...messages.map(({ live }) => of(live)));
  return (
    <Panel title="Live queries" aside={`last ${Math.round(seconds)} s`}>
      <dl class="pairs">
        <dt>Open</dt>
        <dd>
          {plural(
            open(({ liveQueries }) => liveQueries),
            'query',
            'queries',
          )}{' '}
          of{' '}
          {plural(
            open(({ liveClients }) => liveClients),
            'client',
          )}
        </dd>
        <dt>Answers sent</dt>
        <dd>{rate(({ sent }) => sent)}</dd>
        <dt>Runs without a change</dt>
        <dd>{rate(({ unchanged }) => unchanged)}</dd>
        <dt>Failed runs</dt>
        <dd>{rate(({ failed }) => failed)}</dd>
        <dt>From the change to its answer</dt>
        <dd>
          {changed
            ? `p50 ${duration(worst(({ p50Ms }) => p50Ms))}, p95 ${duration(worst(({ p95Ms }) => p95Ms))}`
            : NONE}
        </dd>
      </dl>
    </Panel>
  );
}

function OperationRow({ operation, seconds }: Readonly<{ operation: OperationActivity; seconds: number }>) {
  const { name, count, answered, p50Ms, p95Ms } = operation;
  return (
    <tr>
      <th scope="row">{name === '' ? <i>without a name</i> : name}</th>
      <td class="num">{number(count / seconds)}</td>
      <td class="num">{duration(p50Ms)}</td>
      <td class="num">{duration(p95Ms)}</td>
      <td>
        <Shares of={answerShares(answered)} />
      </td>
    </tr>
  );
}

function Leases({ groups, relay }: Readonly<{ groups: readonly Group[]; relay: Relay }>) {
  return (
    <Panel title="Lease and relay">
      {groups.length === 0 && <Empty>Redis does not respond: nothing is served from the cache.</Empty>}
      <ul class="rows">
        {groups.map(({ index, name, leaseLeftMs, position, refusal }) => (
          <li key={index}>
            <code>{name}</code>
            <Meter value={leaseLeftMs} max={LEASE_MS} label={`${leaseLeftMs} ms of ${LEASE_MS} ms left`} />
            <span class="num">{duration(leaseLeftMs)}</span>
            {leaseLeftMs === 0 ? <Badge name="error">no lease</Badge> : <Badge name="kept">leased</Badge>}
            <span class="note">
              {position === null ? 'no position' : `applied up to ${position}`}
              {refusal !== null && ` · takes no writes: ${refusal}`}
            </span>
          </li>
        ))}
      </ul>
      <dl class="pairs">
        <dt>Relay’s position</dt>
        <dd>{relay.position ?? NONE}</dd>
        <dt>Behind Postgres</dt>
        <dd>{plural(relay.lagTransactions, 'transaction')}</dd>
        <dt>Last applied</dt>
        <dd>{relay.appliedAt === null ? NONE : `${duration(relay.lagMs)} ago`}</dd>
      </dl>
    </Panel>
  );
}

function Processes({ processes, serving }: Readonly<{ processes: readonly ProcessInfo[]; serving: string }>) {
  return (
    <Panel title="Processes" aside={plural(processes.length, 'process', 'processes')}>
      <ul class="rows">
        {processes.map((process) => (
          <li key={process.id}>
            <span class="name">
              {process.host} <span class="note">pid {process.pid}</span>
              {process.id === serving && <Badge name="kept">this one</Badge>}
            </span>
            <Meter
              value={process.memoryBytes}
              max={process.memoryMaxBytes}
              label={`${bytes(process.memoryBytes)} of ${bytes(process.memoryMaxBytes)}`}
            />
            <span class="num">{bytes(process.memoryBytes)}</span>
            <span class="note">
              {plural(process.memoryEntries, 'entry', 'entries')} · heap {bytes(process.heapBytes)} · version{' '}
              {process.version} · started {ago(process.startedAt)}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
