CREATE TABLE "history_entries" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "history_entries_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"actor_id" uuid DEFAULT nullif(current_setting('tasks.actor', true), '')::uuid,
	"project_id" uuid NOT NULL,
	"from_project_id" uuid,
	"task_id" uuid,
	"alone" boolean DEFAULT true NOT NULL,
	"alone_task_id" uuid GENERATED ALWAYS AS (case when alone then task_id end) STORED,
	"alone_project_id" uuid GENERATED ALWAYS AS (case when alone then project_id end) STORED,
	"changes" jsonb NOT NULL
);
--> statement-breakpoint
ALTER TABLE "task_events" ADD COLUMN "actor_id" uuid DEFAULT nullif(current_setting('tasks.actor', true), '')::uuid;--> statement-breakpoint
CREATE INDEX "history_by_project" ON "history_entries" USING btree ("project_id","seq");--> statement-breakpoint
CREATE INDEX "history_by_task" ON "history_entries" USING btree ("task_id","seq") WHERE "history_entries"."task_id" is not null;--> statement-breakpoint
CREATE INDEX "history_by_from_project" ON "history_entries" USING btree ("from_project_id","seq") WHERE "history_entries"."from_project_id" is not null;--> statement-breakpoint

-- Writes entries of tasks. A transaction has one entry per task and project: what it changes later is added to it. What it writes on a
-- task that it creates is part of the creation. The arrays are parallel; each task occurs once.
--   from_projects  where the task was before, if it moved
--   is_alone       whether the rows of the tasks stay as they are
create function write_task_history(
  of_tasks uuid[], in_projects uuid[], from_projects uuid[], entries jsonb[], is_alone boolean
) returns void
language plpgsql
as $$
declare
  max_changes constant int := 100; -- of an entry to which others are added
  own bigint[];
begin
  select array_agg(last.seq order by e.n) into own
  from unnest(of_tasks, in_projects) with ordinality as e(task_id, project_id, n)
  left join lateral (
    select h.seq, h.at, h.project_id, jsonb_array_length(h.changes) as length
    from history_entries h where h.task_id = e.task_id order by h.seq desc limit 1
  ) as last on last.at = now() and last.project_id = e.project_id and last.length < max_changes;

  if array_remove(own, null) <> '{}' then
    update history_entries h set changes = h.changes || e.changes
    from unnest(own, entries) as e(seq, changes)
    where h.seq = e.seq and h.changes #>> '{0,kind}' not in ('CREATED', 'RESTORED');
  end if;
  insert into history_entries (task_id, project_id, from_project_id, alone, changes)
  select e.task_id, e.project_id, e.from_project_id, is_alone, e.changes
  from unnest(own, of_tasks, in_projects, from_projects, entries) as e(seq, task_id, project_id, from_project_id, changes)
  where e.seq is null;
end
$$;--> statement-breakpoint

-- Writes the history of the tasks that a statement changed. A task that is inserted again, with its earlier id, is RESTORED.
--   tg_argv[0]  a statement that changes more rows is not recorded
create function note_task_history() returns trigger
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
      case when o.assignee_id is distinct from n.assignee_id
        then jsonb_build_object('kind', 'ASSIGNEE', 'from', o.assignee_id, 'to', n.assignee_id) end,
      case when o.parent_id is distinct from n.parent_id
        then jsonb_build_object('kind', 'PARENT', 'from', o.parent_id, 'to', n.parent_id) end,
      case when o.due_date is distinct from n.due_date
        then jsonb_build_object('kind', 'DUE_DATE', 'from', o.due_date, 'to', n.due_date) end
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

-- Writes the labels that a statement added to tasks and removed from them. A label that is deleted is an entry of its project, not of
-- every task that had it. Deleted tasks have no labels.
--   tg_argv[0]  a statement that changes more rows is not recorded
create function note_task_label_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_rows int := tg_argv[0];
  removed jsonb := '[]';
  added jsonb := '[]';
  of_tasks uuid[];
  in_projects uuid[];
  entries jsonb[];
begin
  if tg_op <> 'INSERT' then
    select coalesce(jsonb_agg(o), '[]') into removed from (select * from old_rows limit max_rows + 1) as o;
  end if;
  if tg_op <> 'DELETE' then
    select coalesce(jsonb_agg(n), '[]') into added from (select * from new_rows limit max_rows + 1) as n;
  end if;
  if jsonb_array_length(removed) > max_rows or jsonb_array_length(added) > max_rows then
    return null;
  end if;

  select array_agg(task_id), array_agg(project_id), array_agg(changes) into of_tasks, in_projects, entries
  from (
    select t.id as task_id, t.project_id, jsonb_agg(
      jsonb_build_object('kind', c.kind, 'label', l.id, 'name', l.name) order by c.kind desc, l.name) as changes
    from (
      select 'LABEL_REMOVED' as kind, o.* from jsonb_populate_recordset(null::task_labels, removed) as o
      union all
      select 'LABEL_ADDED', n.* from jsonb_populate_recordset(null::task_labels, added) as n
    ) as c
    join labels l on l.id = c.label_id
    join tasks t on t.id = c.task_id
    group by t.id order by t.id
  ) as changed;
  if of_tasks is not null then
    perform write_task_history(of_tasks, in_projects, array_fill(null::uuid, array[cardinality(of_tasks)]), entries, true);
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes, for the comments that a statement changed, an event for subscribers of each task that still exists, and an entry of each
-- comment. Comments of a task that the same transaction creates are part of the creation.
--   tg_argv[0]  a statement that changes more tasks is recorded as MANY, once per project
--   tg_argv[1]  a statement that changes more comments is not in the history
create function note_comment_changes() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_tasks int := tg_argv[0];
  max_rows int := tg_argv[1];
  done text := case tg_op when 'INSERT' then 'COMMENT_ADDED' when 'UPDATE' then 'COMMENT_EDITED' else 'COMMENT_DELETED' end;
  ids uuid[];
  of_tasks uuid[];
  touched uuid[];
begin
  if tg_op = 'TRUNCATE' then
    insert into task_events (type) values ('MANY');
    return null;
  elsif tg_op = 'INSERT' then
    select array_agg(id order by created_at, id), array_agg(task_id order by created_at, id) into ids, of_tasks from new_rows;
  elsif tg_op = 'DELETE' then
    select array_agg(id order by created_at, id), array_agg(task_id order by created_at, id) into ids, of_tasks from old_rows;
  else
    select array_agg(n.id order by n.created_at, n.id), array_agg(n.task_id order by n.created_at, n.id) into ids, of_tasks
    from old_rows o join new_rows n on n.id = o.id where n.body <> o.body;
  end if;
  if ids is null then
    return null;
  end if;

  -- Those of a project that is purged have no history any longer, and those of a task go into the trash and come back with it.
  if exists (select from trashed_projects p join tasks t on t.project_id = p.id where t.id = of_tasks[1])
    or exists (select from trashed_tasks where id = of_tasks[1]) then
    return null;
  end if;
  touched := array(select distinct task_id from unnest(of_tasks) as t(task_id));
  if cardinality(touched) > max_tasks then
    insert into task_events (type, project_id)
    select distinct 'MANY'::task_event_type, project_id from tasks where id = any(touched);
  else
    insert into task_events (type, task_id, project_id, version, changed_fields)
    select 'UPDATED', id, project_id, version, '{comments}' from tasks where id = any(touched);
  end if;

  if cardinality(ids) <= max_rows then
    insert into history_entries (task_id, project_id, changes)
    select t.id, t.project_id, jsonb_build_array(jsonb_build_object('kind', done, 'comment', c.id))
    from unnest(ids, of_tasks) with ordinality as c(id, task_id, n)
    join tasks t on t.id = c.task_id
    left join lateral (
      select h.at, h.changes from history_entries h where h.task_id = t.id order by h.seq desc limit 1
    ) as last on true
    where (last.at = now() and last.changes #>> '{0,kind}' in ('CREATED', 'RESTORED')) is not true
    order by c.n;
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes the history of projects. That of a project which is deleted is deleted with it.
create function note_project_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into history_entries (project_id, changes) select id, '[{"kind": "PROJECT_CREATED"}]' from new_rows;
  elsif tg_op = 'DELETE' then
    delete from history_entries where project_id = any(array(select id from old_rows));
  else
    insert into history_entries (project_id, changes)
    select id, to_jsonb(changes)
    from (
      select n.id, array_remove(array[
        case when o.name <> n.name then jsonb_build_object('kind', 'PROJECT_NAME', 'from', o.name, 'to', n.name) end,
        case when o.description is distinct from n.description then jsonb_build_object('kind', 'PROJECT_DESCRIPTION') end,
        case when o.archived_at is null and n.archived_at is not null then jsonb_build_object('kind', 'PROJECT_ARCHIVED') end,
        case when o.archived_at is not null and n.archived_at is null then jsonb_build_object('kind', 'PROJECT_REOPENED') end
      ], null) as changes
      from old_rows o join new_rows n on n.id = o.id
    ) as compared
    where changes <> '{}';
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes the members of projects that a statement added, removed, or gave another role. The members of a project in the trash stay: they
-- are moved with it.
create function note_member_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into history_entries (project_id, changes)
    select project_id, jsonb_build_array(jsonb_build_object('kind', 'MEMBER_ADDED', 'user', user_id, 'to', role))
    from new_rows n where not exists (select from trashed_projects t where t.id = n.project_id);
  elsif tg_op = 'DELETE' then
    insert into history_entries (project_id, changes)
    select o.project_id, jsonb_build_array(jsonb_build_object('kind', 'MEMBER_REMOVED', 'user', o.user_id, 'from', o.role))
    from old_rows o join projects p on p.id = o.project_id
    where not exists (select from trashed_projects t where t.id = p.id);
  else
    insert into history_entries (project_id, changes)
    select n.project_id,
      jsonb_build_array(jsonb_build_object('kind', 'MEMBER_ROLE', 'user', n.user_id, 'from', o.role, 'to', n.role))
    from old_rows o join new_rows n on (n.project_id, n.user_id) = (o.project_id, o.user_id) where n.role <> o.role;
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes the labels of existing projects that a statement created, changed or deleted.
create function note_label_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into history_entries (project_id, changes)
    select project_id, jsonb_build_array(jsonb_build_object('kind', 'LABEL_CREATED', 'label', id, 'name', name)) from new_rows;
  elsif tg_op = 'DELETE' then
    insert into history_entries (project_id, changes)
    select o.project_id, jsonb_build_array(jsonb_build_object('kind', 'LABEL_DELETED', 'label', o.id, 'name', o.name))
    from old_rows o join projects p on p.id = o.project_id;
  else
    insert into history_entries (project_id, changes)
    select n.project_id, jsonb_build_array(jsonb_build_object(
      'kind', case when n.name <> o.name then 'LABEL_RENAMED' else 'LABEL_EDITED' end,
      'label', n.id, 'name', n.name, 'previousName', o.name))
    from old_rows o join new_rows n on n.id = o.id
    where (n.name, n.color, n.description) is distinct from (o.name, o.color, o.description);
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Deletes the history of tasks that are purged from the trash. Restored ones keep theirs.
create function drop_task_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  delete from history_entries
  where task_id = any(array(select o.id from old_rows o where not exists (select from tasks t where t.id = o.id)));
  return null;
end
$$;--> statement-breakpoint

create trigger history_delete after delete on trashed_tasks referencing old table as old_rows for each statement execute function drop_task_history();--> statement-breakpoint
create trigger history_insert after insert on tasks referencing new table as new_rows for each statement execute function note_task_history('10000');--> statement-breakpoint
create trigger history_update after update on tasks referencing old table as old_rows new table as new_rows for each statement execute function note_task_history('10000');--> statement-breakpoint
create trigger history_delete after delete on tasks referencing old table as old_rows for each statement execute function note_task_history('10000');--> statement-breakpoint
create trigger history_insert after insert on task_labels referencing new table as new_rows for each statement execute function note_task_label_history('10000');--> statement-breakpoint
create trigger history_update after update on task_labels referencing old table as old_rows new table as new_rows for each statement execute function note_task_label_history('10000');--> statement-breakpoint
create trigger history_delete after delete on task_labels referencing old table as old_rows for each statement execute function note_task_label_history('10000');--> statement-breakpoint
create trigger history_insert after insert on comments referencing new table as new_rows for each statement execute function note_comment_changes('500', '10000');--> statement-breakpoint
create trigger history_update after update on comments referencing old table as old_rows new table as new_rows for each statement execute function note_comment_changes('500', '10000');--> statement-breakpoint
create trigger history_delete after delete on comments referencing old table as old_rows for each statement execute function note_comment_changes('500', '10000');--> statement-breakpoint
create trigger history_truncate after truncate on comments for each statement execute function note_comment_changes('500', '10000');--> statement-breakpoint
create trigger history_insert after insert on projects referencing new table as new_rows for each statement execute function note_project_history();--> statement-breakpoint
create trigger history_update after update on projects referencing old table as old_rows new table as new_rows for each statement execute function note_project_history();--> statement-breakpoint
create trigger history_delete after delete on projects referencing old table as old_rows for each statement execute function note_project_history();--> statement-breakpoint
create trigger history_insert after insert on project_members referencing new table as new_rows for each statement execute function note_member_history();--> statement-breakpoint
create trigger history_update after update on project_members referencing old table as old_rows new table as new_rows for each statement execute function note_member_history();--> statement-breakpoint
create trigger history_delete after delete on project_members referencing old table as old_rows for each statement execute function note_member_history();--> statement-breakpoint
create trigger history_insert after insert on labels referencing new table as new_rows for each statement execute function note_label_history();--> statement-breakpoint
create trigger history_update after update on labels referencing old table as old_rows new table as new_rows for each statement execute function note_label_history();--> statement-breakpoint
create trigger history_delete after delete on labels referencing old table as old_rows for each statement execute function note_label_history();--> statement-breakpoint

-- Updates one task in one statement that may be sent together with BEGIN: takes the locks, checks what can be checked without a message
-- for people, and writes. Each statement of a function sees what was committed before it began, so nothing is read before its lock is held.
--   roles      roles that can write
--   expected   the version that the task must have; null for any
--   changes    new values by column: title, description, status, priority, assignee_id, due_date
-- Returns the row as written with its labels. Returns no row, and has written nothing, if there is no such task, no permission, another
-- version, an assignee who is not a member, a change of another column, or nothing to change. It gives no reason.
create or replace function update_task(viewer uuid, task_id uuid, roles project_role[], expected int, changes jsonb)
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

  perform set_config('tasks.actor', viewer::text, true); -- for the triggers
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
