/** One project: two live queries, one of its people and labels, one of its tasks. */
import { useCallback, useMemo, useState } from 'react';
import { useQuery } from 'urql';
import { Board as BoardQuery, ProjectHead } from '../api/operations.js';
import { go, useSettled } from '../hooks.js';
import { Fault, type Person } from '../parts.js';
import { ConflictDialog } from '../task/conflict-dialog.js';
import { withEdits } from '../task/edits.js';
import { TaskPanel } from '../task/panel.js';
import { useEdits } from '../task/use-edits.js';
import { Board } from './board.js';
import { FilterBar, type Filters, NO_FILTERS, taskFilterOf } from './filters.js';
import { Members } from './members.js';

const TYPING_MS = 250;

export interface BoardPageProps {
  readonly projectKey: string;
  /** Identifier of the task whose panel is open. */
  readonly task: string | undefined;
  readonly viewer: Person;
}

export function BoardPage({ projectKey, task, viewer }: BoardPageProps) {
  const [filters, setFilters] = useState(NO_FILTERS);
  const board = useBoard(projectKey, filters);
  const [head] = useQuery({ query: ProjectHead, variables: { key: projectKey } });
  const open = useCallback(({ identifier }: { identifier: string }) => go(projectKey, identifier), [projectKey]);
  const project = head.data?.project;
  if (project === null) return <p className="empty">There is no project {projectKey}, or you are not on it.</p>;

  const error = head.error ?? board.error;
  const members = project?.members.edges ?? [];
  const people = members.map(({ node }) => node);
  const readOnly = project?.viewerRole === 'VIEWER' || project?.archivedAt != null;
  return (
    <main>
      {error && <Fault error={error} />}
      <div className="bar">
        <FilterBar filters={filters} members={people} labels={project?.labels.nodes ?? []} onChange={setFilters} />
        <Members members={members} viewer={viewer} />
      </div>
      {board.more && <p className="note">The newest 100 tasks that match are shown.</p>}
      <Board tasks={board.tasks} disabled={readOnly} onOpen={open} />
      {task !== undefined && (
        <TaskPanel key={task} identifier={task} people={people} viewer={viewer} onClose={() => go(projectKey)} />
      )}
      <ConflictDialog />
      <SaveFault />
    </main>
  );
}

/** The tasks as the server has answered last, under what has been changed here since. */
function useBoard(key: string, filters: Filters) {
  const settled = useSettled(filters, TYPING_MS);
  const variables = useMemo(() => ({ key, filter: taskFilterOf(settled) }), [key, settled]);
  const [{ data, error }] = useQuery({ query: BoardQuery, variables });
  const { edits } = useEdits().state;
  const answered = data?.project?.tasks;
  const tasks = useMemo(() => answered?.nodes.map((node) => withEdits(node, edits)) ?? [], [answered, edits]);
  return { tasks, more: answered?.pageInfo.hasNextPage === true, error };
}

/** A change that was not saved, and has been taken back. */
function SaveFault() {
  const { edits, state } = useEdits();
  if (state.failure === undefined) return null;
  const { base, change, message } = state.failure;
  return (
    <div className="toast">
      <Fault error={`${base.identifier} was not changed: ${message}`}>
        <button type="button" onClick={() => void edits.change(base, change)}>
          Try again
        </button>
        <button type="button" aria-label="Dismiss" onClick={() => edits.dismissFailure()}>
          ✕
        </button>
      </Fault>
    </div>
  );
}
