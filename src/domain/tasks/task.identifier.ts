/** Identifiers of tasks, such as OPS-42: the current one and those from before moves. */
import type { TaskId } from '../../db/ids.js';
import type { Context } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { visibleProjectIds } from '../projects/access.js';
import { projectById, projectIdByKey } from '../projects/project.loaders.js';
import { formerNumbersOf, taskIdByFormerNumber } from './former-number.loaders.js';
import { taskIdByNumber } from './task.loaders.js';

/**
 * The task that has this identifier, or had it before it moved; null if there is none. Whether the viewer can see the
 * task is for the caller to check. @throws BAD_USER_INPUT if the text is not an identifier
 */
export async function taskIdOf(context: Context, identifier: string): Promise<TaskId | null> {
  const { loaders } = context;
  const [, key, number] = /^([A-Z][A-Z0-9]{1,9})-([1-9][0-9]{0,8})$/.exec(identifier) ?? [];
  if (key === undefined) throw badUserInput('identifier', 'expected a project key and a number, like OPS-42');
  const [projectId, visible] = await Promise.all([loaders.load(projectIdByKey, key), visibleProjectIds(context)]);
  if (projectId === null) return null;
  const place = { projectId, number: Number(number) };
  const current = visible.includes(projectId) ? await loaders.load(taskIdByNumber, place) : null;
  return current ?? loaders.load(taskIdByFormerNumber, place);
}

/** The identifiers a task had, latest first: those in projects the viewer can see. */
export async function previousIdentifiers(context: Context, id: TaskId): Promise<string[]> {
  const { loaders } = context;
  const [numbers, visible] = await Promise.all([loaders.load(formerNumbersOf, id), visibleProjectIds(context)]);
  const shown = numbers.filter(({ projectId }) => visible.includes(projectId));
  const projects = await loaders.loadMany(
    projectById,
    shown.map(({ projectId }) => projectId),
  );
  return shown.flatMap(({ number }, i) => (projects[i] ? [`${projects[i].key}-${number}`] : []));
}
