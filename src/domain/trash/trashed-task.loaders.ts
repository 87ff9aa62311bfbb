/** Reads of deleted tasks. */
import { sql } from 'drizzle-orm';
import { byId } from '../../db/by-id.js';
import { type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import { deletionSources } from '../projects/deletion-pages.js';
import { type TrashedTaskRow, trashedTaskRows, trashedTasks } from './trashed-task.table.js';

export const trashedTaskById: Source<TaskId, TrashedTaskRow | null> = {
  name: 'TrashedTask',
  shape: 'id,projectId,number,title,deletedBy,deletedAt',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (id) => trashedTaskRows.byId(id),
  together: true,
  load: async (ids, db) => {
    const { id, projectId, number, title, deletedBy, deletedAt } = trashedTasks;
    const statement = db.prepared('trashed_tasks_by_id', (read, name) =>
      read
        .select({ id, projectId, number, title, deletedBy, deletedAt })
        .from(trashedTasks)
        .where(sql`${id} = any(${sql.placeholder('ids')}::uuid[])`)
        .prepare(name),
    );
    return byId(ids, await statement.execute({ ids: ids.map(toUuid) }));
  },
};

export const { pages: trashedTaskPages, counts: trashedTaskCounts } = deletionSources<ProjectId, 'task'>({
  name: 'TrashedTask',
  prefix: 'task',
  scope: 'public',
  tags: trashedTaskRows.byProject,
  table: trashedTasks,
  parent: trashedTasks.projectId,
  id: trashedTasks.id,
  deletedAt: trashedTasks.deletedAt,
});
