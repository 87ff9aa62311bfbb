/** Reads of the numbers that moved tasks had before. */
import { sql } from 'drizzle-orm';
import { grouped, uuids } from '../../db/by-id.js';
import { fromUuid, type TaskId, toUuid } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import { formerNumberRows, formerNumbers } from './former-number.table.js';
import type { TaskNumber } from './task.loaders.js';

/** The task that had a number before it moved; null if there is none. */
export const taskIdByFormerNumber: Source<TaskNumber, TaskId | null> = {
  name: 'FormerTaskNumber',
  shape: 'id',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: ({ projectId, number }) => formerNumberRows.byNumber(projectId, number),
  together: true,
  load: async (wanted, db) => {
    const { taskId, projectId, number } = formerNumbers;
    const statement = db.prepared('task_ids_by_former_number', (read, name) =>
      read
        .select({ taskId, projectId, number })
        .from(formerNumbers)
        .where(
          sql`(${projectId}, ${number}) in (
            select * from unnest(${sql.placeholder('projectIds')}::uuid[], ${sql.placeholder('numbers')}::int[]))`,
        )
        .prepare(name),
    );
    const rows = await statement.execute({
      projectIds: wanted.map((one) => toUuid(one.projectId)),
      numbers: wanted.map((one) => one.number),
    });
    return wanted.map(
      (one) => rows.find((row) => row.projectId === one.projectId && row.number === one.number)?.taskId ?? null,
    );
  },
};

/** Numbers shown of one task. The task is found by earlier ones too. */
export const MAX_FORMER_NUMBERS = 50;

interface FoundNumber extends Readonly<Record<string, unknown>> {
  readonly taskId: string;
  readonly projectId: string;
  readonly number: number;
}

/** The last numbers a task had before, latest first. */
export const formerNumbersOf: Source<TaskId, readonly TaskNumber[]> = {
  name: 'FormerNumbers',
  shape: 'numbers',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: formerNumberRows.byTask,
  together: true,
  load: async (taskIds, db) => {
    const { taskId, projectId, number, until } = formerNumbers;
    const rows = await db.read.execute<FoundNumber>(sql`
      select task.id as "taskId", former."projectId", former.number
      from unnest(${uuids(taskIds)}) as task(id), lateral (
        select ${projectId} as "projectId", ${number} as number, ${until} as until from ${formerNumbers}
        where ${taskId} = task.id order by ${until} desc limit ${MAX_FORMER_NUMBERS}
      ) as former
      order by former.until desc`);
    return grouped(taskIds.map(toUuid), rows, (row) => row.taskId).map((own) =>
      own.map((row) => ({ projectId: fromUuid('project', row.projectId), number: row.number })),
    );
  },
};
