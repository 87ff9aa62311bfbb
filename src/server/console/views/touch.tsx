/** Changes a task of the answer, and shows which tags that invalidates and which fields the next run reads again. */
import { useState } from 'preact/hooks';
import type { Answer } from '../api-error.js';
import { TOUCH_TASK } from '../documents.js';
import { type Effect, effectsOf, type Run, type TaskInAnswer, tasksIn } from '../explain-model.js';
import { plural } from '../format.js';
import { Empty, Fault, Panel, Tags } from '../parts.js';
import { useSession } from '../session.js';
import type { Trace } from '../types.js';
import { Counts } from './waterfall.js';

const PRIORITIES = ['URGENT', 'HIGH', 'MEDIUM', 'LOW', 'NONE'];
const FIELDS = ['priority', 'title'] as const;
type Field = (typeof FIELDS)[number];

interface Written {
  readonly tags: readonly string[];
  readonly effects: readonly Effect[];
}

interface Payload {
  readonly updateTask: { readonly errors: readonly { readonly message?: string }[] };
}

export function TouchForm({ run, again }: Readonly<{ run: Run; again: () => Promise<Run | undefined> }>) {
  const { api } = useSession();
  const [written, setWritten] = useState<Written>();
  const [fault, setFault] = useState<string>();
  const tasks = tasksIn(run.data);
  const write = async (input: object) => {
    setFault(undefined);
    try {
      const answer = await api.run<Payload>({ query: TOUCH_TASK, variables: { input } }, { 'x-cache-trace': '1' });
      const tags = tagsWritten(answer);
      const after = await again();
      if (after !== undefined) setWritten({ tags, effects: effectsOf(run, tags, after) });
    } catch (error) {
      setFault((error as Error).message);
    }
  };
  return (
    <Panel title="Touch a row">
      {tasks.length === 0 ? (
        <Empty>The answer has no task with an id. Select the field id of a task.</Empty>
      ) : (
        <TaskForm tasks={tasks} onWrite={write} />
      )}
      {fault !== undefined && <Fault>{fault}</Fault>}
      {written !== undefined && <Effects of={written} />}
    </Panel>
  );
}

/** @throws Error with what the API says against the write */
function tagsWritten({ data, errors, extensions }: Answer<Payload>): readonly string[] {
  const refused = errors?.[0]?.message ?? data?.updateTask.errors[0]?.message;
  if (refused !== undefined) throw new Error(refused);
  return (extensions?.['cache'] as Trace | undefined)?.invalidated ?? [];
}

interface TaskFormProps {
  readonly tasks: readonly TaskInAnswer[];
  readonly onWrite: (input: object) => Promise<void>;
}

function TaskForm({ tasks, onWrite }: TaskFormProps) {
  const [chosen, setChosen] = useState<string>();
  const [field, setField] = useState<Field>('priority');
  const [value, setValue] = useState<string>();
  const task = tasks.find(({ id }) => id === chosen) ?? (tasks[0] as TaskInAnswer);
  const suggested =
    field === 'title' ? `${task.title ?? 'A task'} (touched)` : (PRIORITIES.find((one) => one !== task.priority) ?? '');
  return (
    <form
      class="editor"
      onSubmit={async (event) => {
        event.preventDefault();
        await onWrite({ id: task.id, [field]: value ?? suggested });
        setValue(undefined);
      }}
    >
      <label for="task">Task</label>
      <select id="task" value={task.id} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
        {tasks.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </select>
      <label for="field">Field</label>
      <select
        id="field"
        value={field}
        onChange={({ currentTarget }) => {
          setField(currentTarget.value as Field);
          setValue(undefined);
        }}
      >
        {FIELDS.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
      <label for="value">New value</label>
      {field === 'priority' ? (
        <select id="value" value={value ?? suggested} onChange={({ currentTarget }) => setValue(currentTarget.value)}>
          {PRIORITIES.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      ) : (
        <input id="value" value={value ?? suggested} onInput={({ currentTarget }) => setValue(currentTarget.value)} />
      )}
      <div class="actions">
        <button type="submit" class="primary">
          Write and run again
        </button>
      </div>
    </form>
  );
}

function Effects({ of: { tags, effects } }: Readonly<{ of: Written }>) {
  if (tags.length === 0) return <p class="lead">The write changed nothing, so no tag was invalidated.</p>;
  return (
    <div class="effects" role="status">
      <h3>{plural(tags.length, 'tag')} invalidated</h3>
      <Tags tags={tags} shown={8} />
      <h3>{plural(effects.length, 'field')} carried one of them; in the next run:</h3>
      {effects.length === 0 && <p class="note">No value of this operation carried one of these tags.</p>}
      <ul>
        {effects.map(({ subject, field, name, tags, outcomes }) => (
          <li key={subject} title={tags.join('\n')}>
            <span>
              {field} <span class="note">{name}</span>
            </span>
            {outcomes.size === 0 ? <span class="note">not read</span> : <Counts of={outcomes} />}
          </li>
        ))}
      </ul>
    </div>
  );
}
