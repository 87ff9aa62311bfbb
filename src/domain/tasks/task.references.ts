/**
 * What tasks refer to: members, parents and labels of their project. Many tasks are checked by one statement for each
 * kind of reference. What is found is locked until the transaction ends.
 */
import { eq, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import { fromUuid, type Id, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { preparedIn } from '../../engine/postgres/index.js';
import type { Faults } from '../../graphql/form.js';
import { labels } from '../labels/label.table.js';
import { notFound } from '../projects/access.js';
import { projectMembers } from '../projects/project.table.js';
import { tasks } from './task.table.js';

/** What a task refers to in its project. */
export interface References {
  readonly projectId: ProjectId;
  readonly ids: readonly Id[];
  /** The input's field that names them. */
  readonly field: string;
  readonly faults: Faults;
}

interface Kind {
  readonly what: string;
  readonly table: PgTable;
  readonly projectId: AnyPgColumn;
  readonly id: AnyPgColumn;
  readonly lock: 'share' | 'key share';
}

const KINDS = {
  member: {
    what: 'member of the project',
    table: projectMembers,
    projectId: projectMembers.projectId,
    id: projectMembers.userId,
    lock: 'share',
  },
  parent: { what: 'task in the project', table: tasks, projectId: tasks.projectId, id: tasks.id, lock: 'share' },
  /** Locked before rows that reference them; deleting a label takes locks in the same order. */
  label: {
    what: 'label in the project',
    table: labels,
    projectId: labels.projectId,
    id: labels.id,
    lock: 'key share',
  },
} as const satisfies Record<string, Kind>;

/**
 * Finds and locks what tasks refer to, in the order of ids, and adds a fault where something is missing. An object that
 * is elsewhere and one that does not exist look alike.
 */
export async function checkReferences(
  tx: Transaction,
  kind: keyof typeof KINDS,
  references: readonly References[],
): Promise<void> {
  const found = await hold(
    tx,
    kind,
    references.flatMap(({ projectId, ids }) => ids.map((id) => ({ projectId, id }))),
  );
  for (const { projectId, ids, field, faults } of references) {
    const isMissing = ids.some((id) => !found.has(keyOf({ projectId, id })));
    if (isMissing) faults.add(notFound(KINDS[kind].what, faults.pathOf(field)));
  }
}

/** The users who are members of the project, in the order given. Their memberships are then locked. */
export async function membersAmong(tx: Transaction, projectId: ProjectId, ids: readonly UserId[]): Promise<UserId[]> {
  const inProject = ids.map((id) => ({ projectId, id }));
  const found = await hold(tx, 'member', inProject);
  return ids.filter((id) => found.has(keyOf({ projectId, id })));
}

interface InProject {
  readonly projectId: ProjectId;
  readonly id: Id;
}

const keyOf = ({ projectId, id }: InProject) => `${projectId} ${id}`;

/** The keys of those that exist. No statement if none are wanted. */
async function hold(
  tx: Transaction,
  kind: keyof typeof KINDS,
  references: readonly InProject[],
): Promise<ReadonlySet<string>> {
  const wanted = [...new Map(references.map((reference) => [keyOf(reference), reference])).values()];
  if (wanted.length === 0) return new Set();
  const { table, projectId, id, lock }: Kind = KINDS[kind];
  const { placeholder } = sql;
  const statement = preparedIn(tx, `hold_${kind}`, (at, name) =>
    at
      .select({ projectId, id })
      .from(sql`unnest(${placeholder('projectIds')}::uuid[], ${placeholder('ids')}::uuid[]) as wanted(project_id, id)`)
      .innerJoin(table, sql`${projectId} = wanted.project_id and ${id} = wanted.id`)
      .orderBy(id, projectId)
      .for(lock, { of: table })
      .prepare(name),
  );
  const found = await statement.execute({
    projectIds: wanted.map((reference) => toUuid(reference.projectId)),
    ids: wanted.map((reference) => toUuid(reference.id)),
  });
  return new Set((found as InProject[]).map(keyOf));
}

/** The task and every task above it. The parent tree must be locked. */
export async function ancestorsOf(tx: Transaction, id: TaskId): Promise<ReadonlySet<TaskId>> {
  const rows = await tx.execute<{ id: string }>(sql`
    with recursive up as (
      select ${tasks.id} as id, ${tasks.parentId} as parent_id from ${tasks} where ${eq(tasks.id, id)}
      union
      select t.id, t.parent_id from ${tasks} t join up on t.id = up.parent_id
    )
    select id from up`);
  return new Set(rows.map((row) => fromUuid('task', row.id)));
}
