/** A task beside the board: its fields, its text and its comments, as a live query of its own. */
import { type ReactNode, useEffect, useRef } from 'react';
import { useQuery } from 'urql';
import { TaskPanel as TaskPanelQuery } from '../api/operations.js';
import { focusCard } from '../board/card.js';
import type { TaskDetailsFragment } from '../gql/graphql.js';
import { Fault, type Person } from '../parts.js';
import { Comments } from './comments.js';
import { withEdits } from './edits.js';
import { TextForm } from './text-form.js';
import { useEdits } from './use-edits.js';
import { PRIORITIES, PRIORITY_NAMES, STATUS_NAMES, STATUSES } from './words.js';

export interface TaskPanelProps {
  readonly identifier: string;
  /** Who a task can be assigned to. */
  readonly people: readonly Person[];
  readonly viewer: Person;
  onClose(): void;
}

export function TaskPanel({ identifier, people, viewer, onClose }: TaskPanelProps) {
  const [{ data, error }] = useQuery({ query: TaskPanelQuery, variables: { identifier } });
  const { state } = useEdits();
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    close.current?.focus();
    // Back to the card that opened it.
    return () => focusCard(identifier);
  }, [identifier]);

  const task = data?.task && withEdits(data.task, state.edits);
  return (
    <aside className="panel" aria-label={identifier} onKeyDown={({ key }) => key === 'Escape' && onClose()}>
      <div className="panel-head">
        <span className="note">{identifier}</span>
        <button ref={close} type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </div>
      {error && <Fault error={error} />}
      {data?.task === null && <p className="empty">This task does not exist any more, or you cannot see it.</p>}
      {task && (
        <>
          <TextForm task={task} disabled={!task.viewerCanUpdate} />
          <Fields task={task} people={people} disabled={!task.viewerCanUpdate} />
          <Comments
            taskId={task.id}
            comments={task.comments.nodes}
            more={task.comments.pageInfo.hasPreviousPage}
            viewer={viewer}
            disabled={!task.viewerCanUpdate}
          />
        </>
      )}
    </aside>
  );
}

interface FieldsProps {
  readonly task: TaskDetailsFragment;
  readonly people: readonly Person[];
  readonly disabled: boolean;
}

/** Each choice is saved at once. */
function Fields({ task, people, disabled }: FieldsProps) {
  const { edits } = useEdits();
  const { assignee } = task;
  // Someone who has left the project may still be shown until the task has no assignee.
  const choices = assignee && !people.some(({ id }) => id === assignee.id) ? [assignee, ...people] : people;
  return (
    <div className="fields">
      <Choice
        name="Status"
        value={task.status}
        options={STATUSES.map((status) => [status, STATUS_NAMES[status]])}
        disabled={disabled}
        onChoice={(status) => void edits.change(task, { status })}
      />
      <Choice
        name="Priority"
        value={task.priority}
        options={PRIORITIES.map((priority) => [priority, PRIORITY_NAMES[priority]])}
        disabled={disabled}
        onChoice={(priority) => void edits.change(task, { priority })}
      />
      <Choice
        name="Assignee"
        value={assignee?.id ?? ''}
        options={[['', 'Unassigned'], ...choices.map(({ id, name }) => [id, name] as const)]}
        disabled={disabled}
        onChoice={(chosen) => void edits.change(task, { assignee: choices.find(({ id }) => id === chosen) ?? null })}
      />
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly value: T;
  readonly options: readonly (readonly [T, ReactNode])[];
  readonly disabled: boolean;
  onChoice(value: T): void;
}

function Choice<T extends string>({ name, value, options, disabled, onChoice }: ChoiceProps<T>) {
  return (
    <label>
      {name}
      <select value={value} disabled={disabled} onChange={({ target }) => onChoice(target.value as T)}>
        {options.map(([option, words]) => (
          <option key={option} value={option}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
