/** What was just invalidated, by whom, and what it made old. */
import { useState } from 'preact/hooks';
import type { ShownInvalidation } from '../activity.js';
import { duration, NONE, number, plural, timeOfDay } from '../format.js';
import { Badge, Empty, Tags } from '../parts.js';
import { useActivity } from '../session.js';
import type { Origin } from '../types.js';

const ORIGINS: Readonly<Record<Origin, { readonly label: string; readonly name: string; readonly title: string }>> = {
  API: { label: 'API', name: 'kept', title: 'A mutation or an import; released right after COMMIT' },
  OUTSIDE: {
    label: 'outside the API',
    name: 'postgres',
    title: 'Found in the outbox: psql, or a process that died before its release',
  },
  RECOVERED: { label: 'recovered', name: 'bypassed', title: 'A fence whose writer had died' },
  MANUAL: { label: 'by hand', name: 'redis', title: 'The mutation invalidateCache' },
};
const ALL = '';

export function InvalidationsView() {
  const activity = useActivity();
  const [table, setTable] = useState(ALL);
  const [paused, setPaused] = useState<readonly ShownInvalidation[]>();
  const stream = paused ?? activity.invalidations;
  const tables = [...new Set(activity.invalidations.flatMap((one) => one.tables))].sort();
  const shown = table === ALL ? stream : stream.filter((one) => one.tables.includes(table));
  const waiting = paused === undefined ? 0 : activity.invalidations.length - paused.length;
  return (
    <>
      <div class="toolbar">
        <label>
          Table{' '}
          <select value={table} onChange={({ currentTarget }) => setTable(currentTarget.value)}>
            <option value={ALL}>all tables</option>
            {tables.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <button
          type="button"
          aria-pressed={paused !== undefined}
          onClick={() => setPaused(paused === undefined ? activity.invalidations : undefined)}
        >
          {paused === undefined ? 'Pause' : 'Continue'}
        </button>
        <span class="note" role="status">
          {paused !== undefined && `Paused; ${number(waiting)} more arrived`}
          {activity.invalidationsOmitted > 0 && ` ${number(activity.invalidationsOmitted)} were too many to list`}
        </span>
      </div>
      {shown.length === 0 ? (
        <Empty>Nothing was invalidated since this page was opened. Change a task, here or with psql.</Empty>
      ) : (
        <ol class="panel stream" aria-label="Invalidations, newest first">
          {shown.map((one) => (
            <Entry key={one.number} of={one} />
          ))}
        </ol>
      )}
    </>
  );
}

function Entry({ of: one }: Readonly<{ of: ShownInvalidation }>) {
  const { label, name, title } = ORIGINS[one.origin];
  return (
    <li>
      <time class="num" dateTime={one.at}>
        {timeOfDay(one.at)}
      </time>
      <span class="origin" title={title}>
        <Badge name={name}>{label}</Badge>
      </span>
      <div class="what">
        <b>{one.tables.join(', ')}</b>
        <span class="note">
          {one.transactions.length > 0 && ` transaction ${one.transactions.join(', ')}`}
          {one.knownAfterMs !== null && ` · known after ${duration(one.knownAfterMs)}`}
        </span>
        <Tags tags={one.tags} omitted={one.tagsOmitted} />
      </div>
      <p class="old">
        <b>{one.oldEntries === null ? NONE : number(one.oldEntries)}</b> {one.oldEntries === 1 ? 'entry' : 'entries'}
        {', '}
        <b>{one.oldAnswers === null ? NONE : number(one.oldAnswers)}</b> {one.oldAnswers === 1 ? 'answer' : 'answers'}{' '}
        <span class="visually-hidden">{plural(one.oldEntries ?? 0, 'entry', 'entries')} of this process made old</span>
        <span aria-hidden="true">old</span>
      </p>
    </li>
  );
}
