-- How far task events are trimmed: a cursor that has not seen a transaction below this id may have missed it.
insert into task_events_trim (below) values ('0');--> statement-breakpoint

-- Writes task events for subscribers: one row per task that a statement changed, in the same transaction.
--   tg_argv[0]  a statement that changes more rows is recorded as MANY, once per project
-- An UPDATE without effect on a row writes no event. `version` and `updated_at` are not listed as changed fields, because
-- every update changes them. SECURITY DEFINER, so that roles that write tasks need no privilege on events.
create function note_task_events() returns trigger
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
        case when o.creator_id <> n.creator_id then 'creator' end,
        case when o.parent_id is distinct from n.parent_id then 'parent' end,
        case when o.due_date is distinct from n.due_date then 'dueDate' end,
        case when o.created_at <> n.created_at then 'createdAt' end,
        case when o.completed_at is distinct from n.completed_at then 'completedAt' end
      ], null) end
    from old_rows o full join new_rows n on n.id = o.id
    where o is distinct from n;
  end if;
  return null;
end
$$;--> statement-breakpoint

-- Writes events for the labels of tasks: an update of each task that still exists.
create function note_task_label_events() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_rows int := tg_argv[0];
  touched uuid[];
begin
  if tg_op = 'TRUNCATE' then
    insert into task_events (type) values ('MANY');
    return null;
  elsif tg_op = 'INSERT' then
    touched := array(select distinct task_id from new_rows);
  elsif tg_op = 'DELETE' then
    touched := array(select distinct task_id from old_rows);
  else
    touched := array(
      select task_id from (
        (select * from old_rows except all select * from new_rows) union all (select * from new_rows except all select * from old_rows)
      ) as changed group by task_id
    );
  end if;
  if cardinality(touched) > max_rows then
    insert into task_events (type, project_id)
    select distinct 'MANY'::task_event_type, project_id from tasks where id = any(touched);
  elsif cardinality(touched) > 0 then
    insert into task_events (type, task_id, project_id, version, changed_fields)
    select 'UPDATED', id, project_id, version, '{labels}' from tasks where id = any(touched);
  end if;
  return null;
end
$$;--> statement-breakpoint

create trigger event_insert after insert on tasks referencing new table as new_rows for each statement execute function note_task_events('500');--> statement-breakpoint
alter table tasks enable always trigger event_insert;--> statement-breakpoint
create trigger event_update after update on tasks referencing old table as old_rows new table as new_rows for each statement execute function note_task_events('500');--> statement-breakpoint
alter table tasks enable always trigger event_update;--> statement-breakpoint
create trigger event_delete after delete on tasks referencing old table as old_rows for each statement execute function note_task_events('500');--> statement-breakpoint
alter table tasks enable always trigger event_delete;--> statement-breakpoint
create trigger event_truncate after truncate on tasks for each statement execute function note_task_events('500');--> statement-breakpoint
alter table tasks enable always trigger event_truncate;--> statement-breakpoint
create trigger event_insert after insert on task_labels referencing new table as new_rows for each statement execute function note_task_label_events('500');--> statement-breakpoint
alter table task_labels enable always trigger event_insert;--> statement-breakpoint
create trigger event_update after update on task_labels referencing old table as old_rows new table as new_rows for each statement execute function note_task_label_events('500');--> statement-breakpoint
alter table task_labels enable always trigger event_update;--> statement-breakpoint
create trigger event_delete after delete on task_labels referencing old table as old_rows for each statement execute function note_task_label_events('500');--> statement-breakpoint
alter table task_labels enable always trigger event_delete;--> statement-breakpoint
create trigger event_truncate after truncate on task_labels for each statement execute function note_task_label_events('500');--> statement-breakpoint
alter table task_labels enable always trigger event_truncate;
