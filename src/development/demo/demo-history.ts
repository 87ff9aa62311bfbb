/** History of the demo data as if its people had written it in the API. Triggers recorded one moment without an actor. */
import { sql } from 'drizzle-orm';
import { historyEntries } from '../../domain/history/history.table.js';
import type { Transaction } from '../../engine/postgres/index.js';

/** For a database that holds nothing else. */
export async function writeDemoHistory(tx: Transaction): Promise<void> {
  await tx.delete(historyEntries);
  await tx.execute(sql`
    insert into history_entries (at, actor_id, project_id, task_id, changes)
    select at, actor_id, project_id, task_id, jsonb_build_array(change)
    from (
      select p.created_at as at, m.user_id as actor_id, p.id as project_id, null::uuid as task_id,
        jsonb_build_object('kind', 'PROJECT_CREATED') as change
      from projects p join project_members m on m.project_id = p.id and m.role = 'OWNER'
      union all
      select created_at, creator_id, project_id, id, jsonb_build_object('kind', 'CREATED') from tasks
      union all
      select c.created_at, c.author_id, t.project_id, t.id, jsonb_build_object('kind', 'COMMENT_ADDED', 'comment', c.id)
      from comments c join tasks t on t.id = c.task_id
      union all
      select completed_at, coalesce(assignee_id, creator_id), project_id, id,
        jsonb_build_object('kind', 'STATUS', 'from', 'IN_PROGRESS', 'to', 'DONE')
      from tasks where completed_at is not null
    ) as written
    order by at, change->>'kind' desc`);
}
