/**
 * The JSON Lines that `tasks export` writes: one object a line, with a `type`. The project comes first, then users
 * and labels, then each task with its comments behind it.
 */
import { z } from 'zod';
import { isId } from '../../db/ids.js';
import { TEXTS } from '../../std/text.js';
import { isStorableKey } from '../tasks/sort-key.js';
import { MAX_ASSIGNEES, MAX_ESTIMATE, MAX_LABELS, taskPriority, taskStatus } from '../tasks/task.table.js';
import { MAX_RELATIONS } from '../tasks/task-relation.table.js';
import { MAX_NAME_CHARS, USER_HANDLE } from '../users/user.table.js';
import type { CommentItem, ImportFile, Item, TaskItem } from './items.js';
import { linesOf } from './text-file.js';
import { emptyAsNull, expected, instant, isDay, shown, text } from './values.js';

const SOURCE = { kind: 'opaque', minChars: 1, maxChars: 2000 } as const;

const handle = z.string(expected('a handle')).regex(USER_HANDLE, expected('a handle of 1 to 64 characters'));
const idOf = <P extends 'task' | 'comment'>(prefix: P) =>
  z.custom<`${P}_${string}`>(
    (given) => typeof given === 'string' && isId(prefix, given),
    expected(`a ${prefix}'s id like ${prefix}_…`),
  );
const optionalText = (rule: Parameters<typeof text>[0]) => text(rule).nullish().transform(emptyAsNull);
const oneOf = <T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, expected(`one of ${values.join(', ')}`));

const day = z.string(expected('a day')).refine(isDay, expected('a day like 2026-11-30'));
const related = z.array(idOf('task'), expected('an array of ids')).max(MAX_RELATIONS, {
  error: () => `expected at most ${MAX_RELATIONS} tasks`,
});
const ESTIMATE = expected(`0 to ${MAX_ESTIMATE} points`);

const SORT_KEY = expected('a key of the manual order like a3V');

const project = z.object({
  type: z.literal('project'),
  key: z.string(expected('a key')),
  name: text(TEXTS.projectName),
  description: optionalText(TEXTS.projectDescription),
});
const user = z.object({
  type: z.literal('user'),
  handle,
  name: text({ ...TEXTS.projectName, maxChars: MAX_NAME_CHARS }),
});
const label = z.object({
  type: z.literal('label'),
  name: text(TEXTS.labelName),
  color: z.string(expected('a color')).regex(/^#[0-9a-f]{6}$/, expected('a color like #1d76db')),
  description: optionalText(TEXTS.labelDescription),
});
const task = z.object({
  type: z.literal('task'),
  id: idOf('task'),
  identifier: z.string(expected('an identifier')).regex(/^[A-Z][A-Z0-9]*-[1-9]\d{0,8}$/, expected('one like OPS-42')),
  source: text(SOURCE).nullish(),
  title: text(TEXTS.taskTitle),
  description: optionalText(TEXTS.taskDescription),
  status: oneOf(taskStatus.enumValues),
  priority: oneOf(taskPriority.enumValues),
  assignee: handle.nullable(),
  /** Absent from exports of earlier builds. */
  assignees: z
    .array(handle, expected('an array of handles'))
    .max(MAX_ASSIGNEES, { error: () => `expected at most ${MAX_ASSIGNEES} assignees` })
    .optional(),
  creator: handle,
  labels: z.array(text(TEXTS.labelName), expected('an array of names')).max(MAX_LABELS, {
    error: () => `expected at most ${MAX_LABELS} labels`,
  }),
  parent: idOf('task').nullable(),
  // Optional fields are absent from exports of earlier builds.
  sortOrder: z.string(SORT_KEY).refine(isStorableKey, SORT_KEY).nullish(),
  blocks: related.optional(),
  relatesTo: related.optional(),
  duplicateOf: idOf('task').nullish(),
  dueDate: day.nullable(),
  startDate: day.nullish(),
  estimate: z.int(expected('a whole number')).min(0, ESTIMATE).max(MAX_ESTIMATE, ESTIMATE).nullish(),
  createdAt: instant,
  updatedAt: instant,
  completedAt: instant.nullable(),
});
const comment = z.object({
  type: z.literal('comment'),
  id: idOf('comment'),
  task: idOf('task'),
  source: text(SOURCE).nullish(),
  author: handle,
  body: text(TEXTS.commentBody),
  createdAt: instant,
  updatedAt: instant,
});
const line = z.discriminatedUnion('type', [project, user, label, task, comment], {
  error: () => 'expected an object with the type project, user, label, task or comment',
});
type Line = z.output<typeof line>;

export function jsonlFile(path: string): ImportFile {
  return {
    async *items() {
      /** The key of the task whose comments follow. */
      let current: { readonly id: string; readonly key: string } | undefined;
      for await (const { line: number, text: given } of linesOf(path)) {
        const read = parseLine(`line ${number}`, given);
        if ('faults' in read) {
          for (const message of read.faults) yield { kind: 'fault', message };
          continue;
        }
        const { value } = read;
        if (value.type === 'task') current = { id: value.id, key: value.source ?? value.id };
        if (value.type === 'comment' && value.task !== current?.id) {
          yield { kind: 'fault', message: `line ${number}: task: expected the task that precedes the comment` };
        } else yield itemOf(value, { at: `line ${number}`, taskKey: current?.key ?? '' });
      }
    },
  };
}

function parseLine(at: string, given: string): { readonly value: Line } | { readonly faults: readonly string[] } {
  let content: unknown;
  try {
    content = JSON.parse(given);
  } catch (error) {
    // JSON.parse only throws SyntaxErrors.
    return { faults: [`${at}: expected one object of JSON, got ${shown(given)}: ${(error as Error).message}`] };
  }
  const parsed = line.safeParse(content);
  if (parsed.success) return { value: parsed.data };
  return {
    faults: parsed.error.issues.map(({ path, message }) =>
      [at, ...(path.length > 0 ? [path.join('.')] : []), message].join(': '),
    ),
  };
}

function itemOf(value: Line, { at, taskKey }: { at: string; taskKey: string }): Item {
  switch (value.type) {
    case 'project':
      return { kind: 'project', key: value.key, name: value.name, description: value.description };
    case 'user':
      return { kind: 'user', handle: value.handle, name: value.name };
    case 'label':
      return { kind: 'label', name: value.name, color: value.color, description: value.description };
    case 'task':
      return taskItem(value, at);
    case 'comment':
      return commentItem(value, taskKey);
  }
}

function taskItem(value: z.output<typeof task>, at: string): TaskItem {
  const { type, id, identifier, source, parent, assignee, assignees, creator, startDate, estimate, ...rest } = value;
  const { sortOrder, blocks, relatesTo, duplicateOf, ...fields } = rest;
  return {
    ...fields,
    kind: 'task',
    at: `${at} (${identifier})`,
    key: source ?? id,
    exportedId: id,
    ...(source && { alias: id }), // other tasks name it by its id
    number: Number(identifier.slice(identifier.lastIndexOf('-') + 1)),
    assignee: assignee === null ? null : personOf(assignee),
    ...(assignees && { assignees: assignees.map(personOf) }),
    ...(startDate !== undefined && { startDate }),
    ...(estimate !== undefined && { estimate }),
    creator: personOf(creator),
    labels: [...new Set(fields.labels)],
    parentKey: parent,
    ...(sortOrder !== undefined && { sortOrder }),
    relations: {
      ...(blocks && { BLOCKS: [...new Set(blocks)] }),
      ...(relatesTo && { RELATES_TO: [...new Set(relatesTo)] }),
      ...(duplicateOf !== undefined && { DUPLICATE_OF: duplicateOf === null ? [] : [duplicateOf] }),
    },
  };
}

function commentItem(value: z.output<typeof comment>, taskKey: string): CommentItem {
  const { id, source, author, body, createdAt, updatedAt } = value;
  return {
    kind: 'comment',
    taskKey,
    sourceKey: source ?? id,
    exportedId: id,
    author: personOf(author),
    body,
    createdAt,
    updatedAt,
    editedAt: updatedAt,
  };
}

/** The names of users are in lines of their own. */
function personOf(given: string) {
  return { handle: given, name: given };
}
