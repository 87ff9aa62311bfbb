-- Updates one task in one statement that may be sent together with BEGIN: takes the locks, checks what can be checked without a message
-- for people, and writes. Each statement of a function sees what was committed before it began, so nothing is read before its lock is held.
--   roles      roles that can write
--   expected   the version that the task must have; null for any
--   changes    new values by column: title, description, status, priority, assignee_id, due_date
-- Returns the row as written with its labels. Returns no row, and has written nothing, if there is no such task, no permission, another
-- version, an assignee who is not a member, a change of another column, or nothing to change. It gives no reason.
create function update_task(viewer uuid, task_id uuid, roles project_role[], expected int, changes jsonb)
returns table (task tasks, label_ids uuid[])
language plpgsql
as $$
#variable_conflict use_column
declare
  before tasks;
  after tasks;
begin
  -- Outside of a transaction nothing may be written: BEGIN has failed. See `early` in engine/postgres/pool-transaction.ts.
  if current_setting('transaction_deferrable') <> 'on' then
    return;
  end if;
  if changes - array['title', 'description', 'status', 'priority', 'assignee_id', 'due_date'] <> '{}' then
    return;
  end if;
  select (w.task).* into before from tasks_to_write(viewer, array[task_id], '{}', roles, false) as w;
  after := jsonb_populate_record(before, changes);
  if before.id is null or before.version <> expected or after is not distinct from before then
    return;
  end if;
  if after.assignee_id is distinct from before.assignee_id and after.assignee_id is not null then
    perform from project_members m where m.project_id = before.project_id and m.user_id = after.assignee_id for share;
    if not found then
      return;
    end if;
  end if;

  update tasks t
  set title = after.title, status = after.status, priority = after.priority, assignee_id = after.assignee_id,
    due_date = after.due_date, version = t.version + 1, updated_at = now(),
    -- A long text is stored apart from its row, and would be stored again.
    description = case when changes ? 'description' then after.description else t.description end,
    completed_at = case when after.status <> 'DONE' then null else coalesce(t.completed_at, now()) end
  where t.id = before.id
  returning t.* into after;
  return query
    select after, array(select l.label_id from task_labels l where l.task_id = after.id order by l.label_id);
end
$$;
