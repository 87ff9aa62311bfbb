/** Filters of the board. The server applies them: a task that no longer matches leaves by itself. */
import type { TaskFilter } from '../gql/graphql.js';
import type { Person } from '../parts.js';
import { COLUMNS } from '../task/words.js';

export interface Filters {
  /** Id of a user, `none`, or empty for all. */
  readonly assignee: string;
  /** Id of a label, or empty for all. */
  readonly label: string;
  /** Part of a title. */
  readonly text: string;
}

export const NO_FILTERS: Filters = { assignee: '', label: '', text: '' };
const UNASSIGNED = 'none';

export function taskFilterOf({ assignee, label, text }: Filters): TaskFilter {
  return {
    status: { in: [...COLUMNS] },
    ...(assignee !== '' && { assignee: assignee === UNASSIGNED ? { null: true } : { id: { eq: assignee } } }),
    ...(label !== '' && { labels: { some: { id: { eq: label } } } }),
    ...(text.trim() !== '' && { title: { containsIgnoreCase: text.trim() } }),
  };
}

export interface FilterBarProps {
  readonly filters: Filters;
  readonly members: readonly Person[];
  readonly labels: readonly { readonly id: string; readonly name: string }[];
  onChange(filters: Filters): void;
}

export function FilterBar({ filters, members, labels, onChange }: FilterBarProps) {
  const set = (changed: Partial<Filters>) => onChange({ ...filters, ...changed });
  return (
    <search className="filters">
      <select aria-label="Assignee" value={filters.assignee} onChange={({ target }) => set({ assignee: target.value })}>
        <option value="">All assignees</option>
        <option value={UNASSIGNED}>Unassigned</option>
        {members.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <select aria-label="Label" value={filters.label} onChange={({ target }) => set({ label: target.value })}>
        <option value="">All labels</option>
        {labels.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <input
        type="search"
        aria-label="Title contains"
        placeholder="Title contains…"
        maxLength={200}
        value={filters.text}
        onChange={({ target }) => set({ text: target.value })}
      />
    </search>
  );
}
