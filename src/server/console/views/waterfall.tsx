/**
 * The waterfall of one run: levels, reads of Redis, fields by outcome, SQL statements, a write's steps in Redis, all on one
 * time axis.
 */
import { type FieldLine, type Line, outcomesOf, type Run } from '../explain-model.js';
import { bytes, duration, NONE, number, plural } from '../format.js';
import { Badge, Columns, Empty, OUTCOMES, Panel, Tags } from '../parts.js';
import type { Outcome, TracedCall } from '../types.js';

const CALLS_SHOWN = 50;
const SQL_CHARS_SHOWN = 90;

export type OutcomeCounts = ReadonlyMap<Outcome, number>;

export function Waterfall({ run, before }: Readonly<{ run: Run; before: Run | undefined }>) {
  const last = before && outcomesOf(before);
  return (
    <Panel title="Waterfall" aside={`0 to ${duration(run.endMs)}`}>
      {run.levels.length === 0 && <Empty>The operation read nothing through the cache.</Empty>}
      {run.levels.map((level, i) => (
        <section key={level.startMs} class="level" aria-label={`Level ${i + 1}`}>
          <h3>
            Level {i + 1} <span class="note">from {duration(level.startMs)}</span>
          </h3>
          <ul>
            {level.lines.map((line) => (
              <li key={line.id}>
                <details>
                  <summary>
                    <LineSummary line={line} before={last} />
                    <Track line={line} endMs={run.endMs} />
                  </summary>
                  <LineDetails line={line} />
                </details>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </Panel>
  );
}

const BARS = { trip: 'redis', statement: 'sql', write: 'redis' } as const;

function Track({ line, endMs }: Readonly<{ line: Line; endMs: number }>) {
  const name = line.kind === 'field' ? OUTCOMES[line.outcome].name : BARS[line.kind];
  const left = (100 * line.startMs) / endMs;
  const width = (100 * (line.endMs - line.startMs)) / endMs;
  const unfinished =
    (line.kind === 'statement' && line.statement.ms === null) || (line.kind === 'write' && line.write.ms === null);
  return (
    <>
      <span class="track" aria-hidden="true">
        <span class={`bar is-${name}`} style={{ left: `${Math.min(left, 99.5)}%`, width: `${width}%` }} />
      </span>
      <span class="num took">{unfinished ? 'not finished' : duration(line.endMs - line.startMs)}</span>
    </>
  );
}

const WRITE_STEPS = {
  FENCE: {
    label: 'Fence',
    meaning: 'Before COMMIT: nothing under these tags is served or stored from now on, in any process.',
  },
  RELEASE: {
    label: 'Release',
    meaning: 'After COMMIT: these tags get new versions, and what depends on them is read again. Not awaited.',
  },
} as const;

function LineSummary({
  line,
  before,
}: Readonly<{ line: Line; before: ReadonlyMap<string, OutcomeCounts> | undefined }>) {
  switch (line.kind) {
    case 'trip': {
      const { keys, tags, shared } = line.trip;
      return (
        <>
          <span class="subject">
            Redis read{' '}
            <span class="note">
              {keys + tags === 0 ? 'log only' : `${plural(keys, 'entry', 'entries')}, ${plural(tags, 'tag')}`}
              {shared && ', shared with other requests'}
            </span>
          </span>
          <span class="outcome">
            <Badge name="redis">round trip</Badge>
          </span>
        </>
      );
    }
    case 'statement':
      return (
        <>
          <code class="subject">{shortened(line.statement.text)}</code>
          <span class="outcome">
            <Badge name="sql">SQL</Badge>
          </span>
        </>
      );
    case 'write':
      return (
        <>
          <span class="subject">
            {WRITE_STEPS[line.write.step].label} <span class="note">{plural(line.write.tags, 'tag')}</span>
          </span>
          <span class="outcome">
            <Badge name="redis">{line.write.step}</Badge>
          </span>
        </>
      );
    case 'field':
      return <FieldSummary line={line} before={before?.get(line.subject)} />;
  }
}

function FieldSummary({ line, before }: Readonly<{ line: FieldLine; before: OutcomeCounts | undefined }>) {
  const { label, name } = OUTCOMES[line.outcome];
  const changed = before !== undefined && !before.has(line.outcome);
  return (
    <>
      <span class="subject">
        {line.coordinate} <span class="note">{line.name}</span>
        {line.calls.length > 1 && <b> ×{number(line.calls.length)}</b>}
      </span>
      <span class="outcome">
        {changed && <Counts of={before} class="before" />}
        <Badge name={name}>{label}</Badge>
        {line.reason !== undefined && <span class="note">{line.reason}</span>}
      </span>
    </>
  );
}

/** `loaded 3, memory 2`. */
export function Counts({ of, ...rest }: Readonly<{ of: OutcomeCounts; class?: string }>) {
  return (
    <span {...rest}>
      {[...of].map(([outcome, count]) => (
        <Badge key={outcome} name={OUTCOMES[outcome].name}>
          {OUTCOMES[outcome].label} {count > 1 && number(count)}
        </Badge>
      ))}
    </span>
  );
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= SQL_CHARS_SHOWN ? line : `${line.slice(0, SQL_CHARS_SHOWN)}…`;
}

function LineDetails({ line }: Readonly<{ line: Line }>) {
  switch (line.kind) {
    case 'trip':
      return <p class="note">One round trip for all values that this level asks for, and for the log.</p>;
    case 'statement':
      return <pre>{line.statement.text}</pre>;
    case 'write':
      return <p class="note">{WRITE_STEPS[line.write.step].meaning}</p>;
    case 'field':
      return <Calls calls={line.calls} />;
  }
}

function Calls({ calls }: Readonly<{ calls: readonly TracedCall[] }>) {
  return (
    <div class="scroll">
      <table>
        <Columns of={['Path', ['Age', 'num'], ['TTL left', 'num'], ['Size', 'num'], ['Tags', 'wide']]} />
        <tbody>
          {calls.slice(0, CALLS_SHOWN).map((call) => {
            const path = call.path?.join('.') ?? NONE;
            return (
              <tr key={`${path} ${call.key ?? ''} ${call.startMs}`}>
                <td>
                  <code>{path}</code>
                </td>
                <td class="num">{call.ageMs === undefined ? NONE : duration(call.ageMs)}</td>
                <td class="num">{call.ttlLeftMs === undefined ? NONE : duration(call.ttlLeftMs)}</td>
                <td class="num">{call.bytes === undefined ? NONE : bytes(call.bytes)}</td>
                <td>
                  <Tags tags={call.tags} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {calls.length > CALLS_SHOWN && <p class="note">{plural(calls.length - CALLS_SHOWN, 'more call')} not listed.</p>}
    </div>
  );
}
