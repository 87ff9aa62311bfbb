/** Relations between tasks, which can be in different projects. A relation goes with each of its tasks. */
import { sql } from 'drizzle-orm';
import { check, foreignKey, index, pgEnum, pgTable, primaryKey, uniqueIndex } from 'drizzle-orm/pg-core';
import { createdAt, idColumn } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { tasks } from './task.table.js';

/** What the task is to the related task. */
export const taskRelationType = pgEnum('task_relation_type', ['BLOCKS', 'RELATES_TO', 'DUPLICATE_OF']);
export type StoredRelationType = (typeof taskRelationType.enumValues)[number];

export const taskRelations = pgTable(
  'task_relations',
  {
    taskId: idColumn('task', 'task_id').notNull(),
    type: taskRelationType().notNull(),
    relatedTaskId: idColumn('task', 'related_task_id').notNull(),
    /** Those of the tasks. The foreign keys let them follow a task that moves. */
    projectId: idColumn('project', 'project_id').notNull(),
    relatedProjectId: idColumn('project', 'related_project_id').notNull(),
    /** The project whose lists of blocked tasks the relation decides. */
    blockedProjectId: idColumn('project', 'blocked_project_id').generatedAlwaysAs(
      sql`case when type = 'BLOCKS' then related_project_id end`,
    ),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.taskId, table.type, table.relatedTaskId] }),
    index('task_relations_related').on(table.relatedTaskId, table.type, table.taskId),
    index('task_relations_blocked').on(table.blockedProjectId, table.projectId),
    uniqueIndex('task_relations_duplicate').on(table.taskId).where(sql`type = 'DUPLICATE_OF'`),
    foreignKey({
      name: 'task_relations_task',
      columns: [table.projectId, table.taskId],
      foreignColumns: [tasks.projectId, tasks.id],
    })
      .onDelete('cascade')
      .onUpdate('cascade'),
    foreignKey({
      name: 'task_relations_related_task',
      columns: [table.relatedProjectId, table.relatedTaskId],
      foreignColumns: [tasks.projectId, tasks.id],
    })
      .onDelete('cascade')
      .onUpdate('cascade'),
    check('task_relations_other', sql`${table.taskId} <> ${table.relatedTaskId}`),
    // One row for both directions.
    check('task_relations_once', sql`${table.type} <> 'RELATES_TO' or ${table.taskId} < ${table.relatedTaskId}`),
  ],
);

/** Relations of one kind per task, in the API. */
export const MAX_RELATIONS = 100;

export const taskRelationRows = rowSets(taskRelations, {
  byTask: { columns: [taskRelations.taskId] },
  byRelatedTask: { columns: [taskRelations.relatedTaskId] },
  byBlockedProject: { columns: [taskRelations.blockedProjectId] },
});
