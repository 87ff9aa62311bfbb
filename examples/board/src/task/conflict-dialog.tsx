/** Others changed the same fields of a task while they were changed here: theirs or mine. */
import { useEffect, useRef } from 'react';
import type { Change, Conflict, Field } from './edits.js';
import { useEdits } from './use-edits.js';
import { PRIORITY_NAMES, STATUS_NAMES } from './words.js';

const FIELD_NAMES: Readonly<Record<Field, string>> = {
  title: 'Title',
  description: 'Description',
  status: 'Status',
  priority: 'Priority',
  assignee: 'Assignee',
};

export function ConflictDialog() {
  const { edits, state } = useEdits();
  const [conflict] = state.conflicts;
  if (conflict === undefined) return null;
  return <Choice conflict={conflict} onChoice={(choice) => edits.resolve(conflict, choice)} />;
}

function Choice({ conflict, onChoice }: { conflict: Conflict; onChoice(choice: 'theirs' | 'mine'): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const { base, theirs, change, fields } = conflict;
  return (
    <dialog
      ref={dialog}
      className="conflict"
      aria-labelledby="conflict-title"
      onCancel={(event) => event.preventDefault()} // neither choice is the harmless one
    >
      <h2 id="conflict-title">{base.identifier} has been changed meanwhile</h2>
      <table>
        <thead>
          <tr>
            <th />
            <th scope="col">Theirs</th>
            <th scope="col">Mine</th>
          </tr>
        </thead>
        <tbody>
          {fields.map((field) => (
            <tr key={field}>
              <th scope="row">{FIELD_NAMES[field]}</th>
              <td>{inWords(field, theirs)}</td>
              <td>{inWords(field, change)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="actions">
        <button type="button" onClick={() => onChoice('theirs')}>
          Keep theirs
        </button>
        <button type="button" className="primary" onClick={() => onChoice('mine')}>
          Use mine
        </button>
      </p>
    </dialog>
  );
}

function inWords(field: Field, { title, description, status, priority, assignee }: Change): string {
  const words: Record<Field, string | null | undefined> = {
    title,
    description,
    status: status && STATUS_NAMES[status],
    priority: priority && PRIORITY_NAMES[priority],
    assignee: assignee === null ? 'Unassigned' : assignee?.name,
  };
  return words[field] || '(empty)';
}
