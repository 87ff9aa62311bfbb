/** Reads of relations: those of a task, and the projects whose tasks block those of a project. */
import { sql } from 'drizzle-orm';
import { grouped } from '../../db/by-id.js';
import { type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import { type StoredRelationType, taskRelationRows, taskRelations } from './task-relation.table.js';

/** A task at the other end of a relation, and its project, which decides who can see it. */
export interface RelatedTask {
  readonly id: TaskId;
  readonly projectId: ProjectId;
}

/** Each list is sorted by id. */
export interface RelationsOfTask {
  readonly blocks: readonly RelatedTask[];
  readonly blockedBy: readonly RelatedTask[];
  readonly relatesTo: readonly RelatedTask[];
  readonly duplicateOf: readonly RelatedTask[];
  readonly duplicates: readonly RelatedTask[];
}

interface RelationRow {
  readonly taskId: TaskId;
  readonly type: StoredRelationType;
  readonly relatedTaskId: TaskId;
  readonly projectId: ProjectId;
  readonly relatedProjectId: ProjectId;
}

/** All relations of a task: they are few, and their fields are selected together. */
export const relationsOf: Source<TaskId, RelationsOfTask> = {
  name: 'TaskRelations',
  shape: 'relations',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (id) => [...new Set([...taskRelationRows.byTask(id), ...taskRelationRows.byRelatedTask(id)])],
  together: true,
  load: async (ids, db) => {
    const { taskId, type, relatedTaskId, projectId, relatedProjectId } = taskRelations;
    const statement = db.prepared('relations_of_tasks', (read, name) =>
      read
        .select({ taskId, type, relatedTaskId, projectId, relatedProjectId })
        .from(taskRelations)
        .where(
          sql`${taskId} = any(${sql.placeholder('ids')}::uuid[])
            or ${relatedTaskId} = any(${sql.placeholder('ids')}::uuid[])`,
        )
        .prepare(name),
    );
    const rows: RelationRow[] = await statement.execute({ ids: ids.map(toUuid) });
    const from = grouped(ids, rows, (row) => row.taskId);
    const to = grouped(ids, rows, (row) => row.relatedTaskId);
    return ids.map((_, i) => relationsFrom(from[i] ?? [], to[i] ?? []));
  },
};

/** @param from the rows that begin at the task. @param to those that end at it */
function relationsFrom(from: readonly RelationRow[], to: readonly RelationRow[]): RelationsOfTask {
  const ahead = (wanted: StoredRelationType) =>
    from.flatMap(({ type, relatedTaskId: id, relatedProjectId: projectId }) =>
      type === wanted ? [{ id, projectId }] : [],
    );
  const back = (wanted: StoredRelationType) =>
    to.flatMap(({ type, taskId: id, projectId }) => (type === wanted ? [{ id, projectId }] : []));
  return {
    blocks: sorted(ahead('BLOCKS')),
    blockedBy: sorted(back('BLOCKS')),
    relatesTo: sorted([...ahead('RELATES_TO'), ...back('RELATES_TO')]),
    duplicateOf: ahead('DUPLICATE_OF'),
    duplicates: sorted(back('DUPLICATE_OF')),
  };
}

function sorted(tasks: RelatedTask[]): RelatedTask[] {
  return tasks.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The projects of the tasks that block tasks of a project, whatever their status. */
export const blockingProjectsOf: Source<ProjectId, readonly ProjectId[]> = {
  name: 'BlockingProjects',
  shape: 'ids',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (id) => taskRelationRows.byBlockedProject(id),
  together: true,
  load: async (ids, db) => {
    const { blockedProjectId, projectId } = taskRelations;
    const statement = db.prepared('blocking_projects', (read, name) =>
      read
        .selectDistinct({ blockedProjectId, projectId })
        .from(taskRelations)
        .where(sql`${blockedProjectId} = any(${sql.placeholder('ids')}::uuid[])`)
        .orderBy(projectId)
        .prepare(name),
    );
    const rows = await statement.execute({ ids: ids.map(toUuid) });
    return grouped(ids, rows, (row) => row.blockedProjectId as ProjectId).map((of) => of.map((row) => row.projectId));
  },
};
