/** Title and description: read, or edited and saved together. */
import { type FormEvent, useState } from 'react';
import type { TaskDetailsFragment } from '../gql/graphql.js';
import type { Change } from './edits.js';
import { useEdits } from './use-edits.js';

type Task = TaskDetailsFragment;

export function TextForm({ task, disabled }: { task: Task; disabled: boolean }) {
  const { edits } = useEdits();
  /** The task as it was when editing began: a change of the same field since then is a conflict. */
  const [base, setBase] = useState<Task>();
  if (base === undefined) {
    return (
      <div className="text">
        <h2>{task.title}</h2>
        {task.description && <p className="description">{task.description}</p>}
        <button type="button" disabled={disabled} onClick={() => setBase(task)}>
          Edit
        </button>
      </div>
    );
  }
  const save = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const change = changeIn(new FormData(event.currentTarget), base);
    if (Object.keys(change).length > 0) void edits.change(base, change);
    setBase(undefined);
  };
  return (
    <form className="text" onSubmit={save}>
      {task.version > base.version && (
        <p className="note" role="status">
          This task has been changed meanwhile.
        </p>
      )}
      <label>
        Title
        {/* biome-ignore lint/a11y/noAutofocus: the person has just asked to edit it */}
        <input name="title" defaultValue={base.title} required maxLength={500} autoFocus />
      </label>
      <label>
        Description
        <textarea name="description" defaultValue={base.description ?? ''} rows={8} maxLength={65_536} />
      </label>
      <p className="actions">
        <button type="button" onClick={() => setBase(undefined)}>
          Cancel
        </button>
        <button type="submit" className="primary">
          Save
        </button>
      </p>
    </form>
  );
}

function changeIn(form: FormData, base: Task): Change {
  const title = String(form.get('title')).trim();
  // A form has line breaks of two characters.
  const description = String(form.get('description')).replaceAll('\r\n', '\n').trim() || null;
  return {
    ...(title !== base.title && { title }),
    ...(description !== (base.description?.trim() || null) && { description }),
  };
}
