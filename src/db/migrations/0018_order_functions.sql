-- The last digit of a number in base 62.
create function base62_digit(number int) returns text
language sql immutable parallel safe
return substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', number % 62 + 1, 1);--> statement-breakpoint

-- The key in the manual order of a task that was never moved: that of its number as an integer of fractional indexing, a letter for the
-- number of digits and the digits in base 62. The same as `defaultSortOrder` in domain/tasks/sort-key.ts. Each case begins where the one
-- before has no digits left.
create function default_sort_order(number int) returns text
language sql immutable parallel safe
return case
  when number < 62 then 'a' || base62_digit(number)
  when number < 3906 then 'b' || base62_digit((number - 62) / 62) || base62_digit(number - 62)
  when number < 242234
  then 'c' || base62_digit((number - 3906) / 3844) || base62_digit((number - 3906) / 62) || base62_digit(number - 3906)
  when number < 15018570
  then 'd' || base62_digit((number - 242234) / 238328) || base62_digit((number - 242234) / 3844)
    || base62_digit((number - 242234) / 62) || base62_digit(number - 242234)
  when number < 931151402
  then 'e' || base62_digit((number - 15018570) / 14776336) || base62_digit((number - 15018570) / 238328)
    || base62_digit((number - 15018570) / 3844) || base62_digit((number - 15018570) / 62) || base62_digit(number - 15018570)
  else 'f' || base62_digit((number - 931151402) / 916132832) || base62_digit((number - 931151402) / 14776336)
    || base62_digit((number - 931151402) / 238328) || base62_digit((number - 931151402) / 3844)
    || base62_digit((number - 931151402) / 62) || base62_digit(number - 931151402)
end;--> statement-breakpoint

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
        case when o.creator_id <> n.creator_id then 'creator' end,
        case when o.parent_id is distinct from n.parent_id then 'parent' end,
        case when o.due_date is distinct from n.due_date then 'dueDate' end,
        case when (o.sort_order, o.number) is distinct from (n.sort_order, n.number) then 'sortOrder' end,
        case when o.created_at <> n.created_at then 'createdAt' end,
        case when o.completed_at is distinct from n.completed_at then 'completedAt' end
      ], null) end
    from old_rows o full join new_rows n on n.id = o.id
    where o is distinct from n;
  end if;
  return null;
end
$$;
