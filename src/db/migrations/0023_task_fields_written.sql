-- Keeps the assignees of a task in order: no other assignee without a first, each user once. The users must exist, as for a foreign key.
create function arrange_assignees() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  known int;
begin
  new.other_assignee_ids := array(
    select o.id from unnest(new.other_assignee_ids) with ordinality as o(id, place)
    where o.id <> new.assignee_id or o.id is not null and new.assignee_id is null
    group by o.id order by min(o.place));
  if new.assignee_id is null then
    new.assignee_id := new.other_assignee_ids[1];
    new.other_assignee_ids := new.other_assignee_ids[2:];
  end if;
  if tg_op = 'INSERT' or not new.other_assignee_ids <@ old.other_assignee_ids then
    perform from users u where u.id = any(new.other_assignee_ids) order by u.id for key share;
    get diagnostics known = row_count;
    if known < cardinality(new.other_assignee_ids) then
      raise foreign_key_violation using message = 'other_assignee_ids names a user who does not exist', table = 'tasks',
        constraint = 'tasks_other_assignee_ids_users';
    end if;
  end if;
  return new;
end
$$;--> statement-breakpoint
create trigger arrange_assignees_insert before insert on tasks for each row
when (new.other_assignee_ids <> '{}') execute function arrange_assignees();--> statement-breakpoint
create trigger arrange_assignees_update before update on tasks for each row
when (new.other_assignee_ids <> '{}' and (old.assignee_id, old.other_assignee_ids) is distinct from (new.assignee_id, new.other_assignee_ids))
execute function arrange_assignees();--> statement-breakpoint

-- Unassigns a user who is deleted. Before the row goes: the next assignee who moves up when a foreign key clears the first may be deleted
-- by the same statement. The row is locked by then, so no transaction adds the user meanwhile.
create function unassign_deleted_user() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  update tasks set other_assignee_ids = array_remove(other_assignee_ids, old.id)
  where other_assignee_ids <> '{}' and other_assignee_ids @> array[old.id];
  return old;
end
$$;--> statement-breakpoint
create trigger unassign_deleted_user before delete on users for each row execute function unassign_deleted_user();--> statement-breakpoint

-- Writes task events for subscribers: one row per task that a statement changed, in the same transaction.
--   tg_argv[0]  a statement that changes more rows is recorded as MANY, once per project
-- An UPDATE without effect on a row writes no event. `version` and `updated_at` are not listed as changed fields, because
-- every update changes them. SECURITY DEFINER, so that roles that write tasks need no privilege on events.
create or replace function note_task_events() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_rows int := tg_argv[0];
  rows_changed int;
begin
  if tg_op = 'TRUNCATE' then
    insert into task_events (type) values ('MANY');
    return null;
  elsif tg_op = 'INSERT' then
    select count(*) into rows_changed from (select from new_rows limit max_rows + 1) as some_rows;
  else
    select count(*) into rows_changed from (select from old_rows limit max_rows + 1) as some_rows;
  end if;
  if rows_changed = 0 then
    return null;
  end if;

  if tg_op = 'INSERT' then
    if rows_changed > max_rows then
      insert into task_events (type, project_id) select distinct 'MANY'::task_event_type, project_id from new_rows;
    else
      insert into task_events (type, task_id, project_id, version) select 'CREATED', id, project_id, version from new_rows;
    end if;
  elsif tg_op = 'DELETE' then
    if rows_changed > max_rows then
      insert into task_events (type, project_id) select distinct 'MANY'::task_event_type, project_id from old_rows;
    else
      insert into task_events (type, task_id, project_id, version) select 'DELETED', id, project_id, version from old_rows;
    end if;
  elsif rows_changed > max_rows then
    insert into task_events (type, project_id)
    select 'MANY', project_id from (select project_id from old_rows union select project_id from new_rows) as projects;
  else
    insert into task_events (type, task_id, project_id, from_project_id, version, changed_fields)
    select
      case when o.id is null then 'CREATED' when n.id is null then 'DELETED' else 'UPDATED' end::task_event_type,
      coalesce(n.id, o.id),
      coalesce(n.project_id, o.project_id),
      case when o.project_id <> n.project_id then o.project_id end,
      coalesce(n.version, o.version),
      case when o.id is null or n.id is null then '{}' else array_remove(array[
        case when o.project_id <> n.project_id then 'project' end,
        case when (o.project_id, o.number) <> (n.project_id, n.number) then 'identifier' end,
        case when o.title <> n.title then 'title' end,
        case when o.description is distinct from n.description then 'description' end,
        case when o.status <> n.status then 'status' end,
        case when o.priority <> n.priority then 'priority' end,
        case when o.assignee_id is distinct from n.assignee_id then 'assignee' end,
        case when (o.assignee_id, o.other_assignee_ids) is distinct from (n.assignee_id, n.other_assignee_ids)
          then 'assignees' end,
        case when o.creator_id <> n.creator_id then 'creator' end,
        case when o.parent_id is distinct from n.parent_id then 'parent' end,
        case when o.due_date is distinct from n.due_date then 'dueDate' end,
        case when o.start_date is distinct from n.start_date then 'startDate' end,
        case when o.estimate is distinct from n.estimate then 'estimate' end,
        case when (o.sort_order, o.number) is distinct from (n.sort_order, n.number) then 'sortOrder' end,
        case when o.created_at <> n.created_at then 'createdAt' end,
        case when o.completed_at is distinct from n.completed_at then 'completedAt' end
      ], null) end
    from old_rows o full join new_rows n on n.id = o.id
    where o is distinct from n;
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes the history of the tasks that a statement changed. A task that is inserted again, with its earlier id, is RESTORED.
--   tg_argv[0]  a statement that changes more rows is not recorded
create or replace function note_task_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_rows int := tg_argv[0];
  of_tasks uuid[];
  in_projects uuid[];
  from_projects uuid[];
  entries jsonb[];
begin
  if tg_op = 'INSERT' then
    if (select count(*) from (select from new_rows limit max_rows + 1) as some_rows) > max_rows then
      return null;
    end if;
    insert into history_entries (task_id, project_id, alone, changes)
    select n.id, n.project_id, false, jsonb_build_array(jsonb_build_object('kind',
      case when exists (select from trashed_tasks t where t.id = n.id) then 'RESTORED' else 'CREATED' end))
    from new_rows n order by n.project_id, n.number;
    return null;
  end if;

  if (select count(*) from (select from old_rows limit max_rows + 1) as some_rows) > max_rows then
    return null;
  elsif tg_op = 'DELETE' then
    -- Those of a project that is purged have no history any longer.
    insert into history_entries (task_id, project_id, alone, changes)
    select o.id, o.project_id, false, jsonb_build_array(jsonb_build_object(
      'kind', 'DELETED', 'identifier', p.key || '-' || o.number, 'title', o.title))
    from old_rows o join projects p on p.id = o.project_id
    where not exists (select from trashed_projects t where t.id = p.id) order by o.project_id, o.number;
    return null;
  end if;

  select array_agg(id), array_agg(project_id), array_agg(case when moved then before end), array_agg(to_jsonb(changes))
  into of_tasks, in_projects, from_projects, entries
  from (
    select n.id, n.project_id, o.project_id as before, o.project_id <> n.project_id as moved, array_remove(array[
      case when o.project_id <> n.project_id
        then jsonb_build_object('kind', 'PROJECT', 'from', o.project_id, 'to', n.project_id) end,
      case when o.title <> n.title then jsonb_build_object('kind', 'TITLE', 'from', o.title, 'to', n.title) end,
      case when o.description is distinct from n.description then jsonb_build_object('kind', 'DESCRIPTION') end,
      case when o.status <> n.status then jsonb_build_object('kind', 'STATUS', 'from', o.status, 'to', n.status) end,
      case when o.priority <> n.priority
        then jsonb_build_object('kind', 'PRIORITY', 'from', o.priority, 'to', n.priority) end,
      case
        when (o.assignee_id, o.other_assignee_ids) is not distinct from (n.assignee_id, n.other_assignee_ids) then null
        when o.other_assignee_ids = '{}' and n.other_assignee_ids = '{}'
        then jsonb_build_object('kind', 'ASSIGNEE', 'from', o.assignee_id, 'to', n.assignee_id)
        else jsonb_build_object('kind', 'ASSIGNEES',
          'from', array_remove(o.assignee_id || o.other_assignee_ids, null),
          'to', array_remove(n.assignee_id || n.other_assignee_ids, null))
      end,
      case when o.parent_id is distinct from n.parent_id
        then jsonb_build_object('kind', 'PARENT', 'from', o.parent_id, 'to', n.parent_id) end,
      case when o.due_date is distinct from n.due_date
        then jsonb_build_object('kind', 'DUE_DATE', 'from', o.due_date, 'to', n.due_date) end,
      case when o.start_date is distinct from n.start_date
        then jsonb_build_object('kind', 'START_DATE', 'from', o.start_date, 'to', n.start_date) end,
      case when o.estimate is distinct from n.estimate
        then jsonb_build_object('kind', 'ESTIMATE', 'from', o.estimate, 'to', n.estimate) end
    ], null) as changes
    from old_rows o join new_rows n on n.id = o.id order by n.id
  ) as compared
  where changes <> '{}';
  if of_tasks is not null then
    perform write_task_history(of_tasks, in_projects, from_projects, entries, false);
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Updates one task in one statement that may be sent together with BEGIN: takes the locks, checks what can be checked without a message
-- for people, and writes. Each statement of a function sees what was committed before it began, so nothing is read before its lock is held.
--   roles      roles that can write
--   expected   the version that the task must have; null for any
--   changes    new values by column: title, description, status, priority, assignee_id, other_assignee_ids, due_date, start_date, estimate
-- Returns the row as written with its labels. Returns no row, and has written nothing, if there is no such task, no permission, another
-- version, an assignee who is not a member, a start date after the due date, a change of another column, or nothing to change. It gives
-- no reason.
create or replace function update_task(viewer uuid, task_id uuid, roles project_role[], expected int, changes jsonb)
returns table (task tasks, label_ids uuid[])
language plpgsql
as $$
#variable_conflict use_column
declare
  before tasks;
  after tasks;
  members int;
begin
  -- Outside of a transaction nothing may be written: BEGIN has failed. See `early` in engine/postgres/pool-transaction.ts.
  if current_setting('transaction_deferrable') <> 'on' then
    return;
  end if;
  if changes - array['title', 'description', 'status', 'priority', 'assignee_id', 'other_assignee_ids', 'due_date', 'start_date',
    'estimate'] <> '{}' then
    return;
  end if;
  select (w.task).* into before from tasks_to_write(viewer, array[task_id], '{}', roles, false) as w;
  after := jsonb_populate_record(before, changes);
  if before.id is null or before.version <> expected or after is not distinct from before
    or after.start_date > after.due_date
  then
    return;
  end if;
  if after.assignee_id is distinct from before.assignee_id and after.assignee_id is not null then
    perform from project_members m where m.project_id = before.project_id and m.user_id = after.assignee_id for share;
    if not found then
      return;
    end if;
  end if;
  if after.other_assignee_ids <> '{}' and after.other_assignee_ids <> before.other_assignee_ids then
    perform from project_members m
    where m.project_id = before.project_id and m.user_id = any(after.other_assignee_ids) order by m.user_id for share;
    get diagnostics members = row_count;
    if members < cardinality(after.other_assignee_ids) then
      return;
    end if;
  end if;

  perform set_config('tasks.actor', viewer::text, true); -- for the triggers
  update tasks t
  set title = after.title, status = after.status, priority = after.priority, assignee_id = after.assignee_id,
    other_assignee_ids = after.other_assignee_ids, due_date = after.due_date, start_date = after.start_date,
    estimate = after.estimate, version = t.version + 1, updated_at = now(),
    -- A long text is stored apart from its row, and would be stored again.
    description = case when changes ? 'description' then after.description else t.description end,
    completed_at = case when after.status <> 'DONE' then null else coalesce(t.completed_at, now()) end
  where t.id = before.id
  returning t.* into after;
  return query
    select after, array(select l.label_id from task_labels l where l.task_id = after.id order by l.label_id);
end
$$;
