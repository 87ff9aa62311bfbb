/** The tasks of a mutation of many, and how its input names each. */
import type { TaskId } from '../../db/ids.js';
import { INPUT } from '../../graphql/form.js';
import type { ErrorTarget } from '../projects/access.js';
import type { NamedTask } from './task.forms.js';

/** A task as the input names it. */
export interface NamedInList extends NamedTask {
  readonly path: readonly string[];
  readonly versionPath: readonly string[];
}

/** In the order of the input. */
export function namedTasks({
  ids,
  tasks,
}: {
  readonly ids?: readonly TaskId[] | null | undefined;
  readonly tasks?: readonly NamedTask[] | null | undefined;
}): NamedInList[] {
  const at = (list: string, i: number, ...rest: string[]) => [...INPUT, list, String(i), ...rest];
  if (ids) return ids.map((id, i) => ({ id, path: at('ids', i), versionPath: [] }));
  return (tasks ?? []).map((task, i) => ({
    ...task,
    path: at('tasks', i, 'id'),
    versionPath: at('tasks', i, 'expectedVersion'),
  }));
}

/** The targets of errors. */
export function targetIn(named: readonly NamedInList[]): (id: TaskId) => ErrorTarget {
  const pathOf = new Map(named.map(({ id, path }) => [id, path]));
  return (id) => ({ what: 'task', path: pathOf.get(id) as readonly string[] });
}
