-- Writes, for the relations that a statement added or removed, an event for subscribers of each of their tasks that still exists, and an
-- entry in the history of both tasks. Relations go into the trash and come back with a task: these are not in the history.
--   tg_argv[0]  a statement that changes more tasks is recorded as MANY, once per project
--   tg_argv[1]  a statement that changes more relations is not in the history
create function note_task_relation_changes() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  max_tasks int := tg_argv[0];
  max_rows int := tg_argv[1];
  done text := case tg_op when 'INSERT' then 'RELATION_ADDED' else 'RELATION_REMOVED' end;
  changed jsonb;
  touched uuid[];
  of_tasks uuid[];
  in_projects uuid[];
  entries jsonb[];
begin
  if tg_op = 'TRUNCATE' then
    insert into task_events (type) values ('MANY');
    return null;
  elsif tg_op = 'INSERT' then
    select jsonb_agg(n) into changed from new_rows n;
  else
    select jsonb_agg(o) into changed from old_rows o;
  end if;
  if changed is null then
    return null;
  end if;

  touched := array(
    select task_id from jsonb_populate_recordset(null::task_relations, changed)
    union select related_task_id from jsonb_populate_recordset(null::task_relations, changed));
  if cardinality(touched) > max_tasks then
    insert into task_events (type, project_id)
    select distinct 'MANY'::task_event_type, project_id from tasks where id = any(touched);
  else
    insert into task_events (type, task_id, project_id, version, changed_fields)
    select 'UPDATED', t.id, t.project_id, t.version, e.fields
    from (
      select task_id, array_agg(distinct field) as fields
      from (
        select task_id, case type when 'BLOCKS' then 'blocks' when 'RELATES_TO' then 'relatesTo' else 'duplicateOf' end as field
        from jsonb_populate_recordset(null::task_relations, changed)
        union all
        select related_task_id, case type when 'BLOCKS' then 'blockedBy' when 'RELATES_TO' then 'relatesTo' else 'duplicates' end
        from jsonb_populate_recordset(null::task_relations, changed)
      ) as ends group by task_id
    ) as e
    join tasks t on t.id = e.task_id;
  end if;

  if jsonb_array_length(changed) > max_rows then
    return null;
  end if;
  select array_agg(task_id), array_agg(project_id), array_agg(changes) into of_tasks, in_projects, entries
  from (
    select t.id as task_id, t.project_id, jsonb_agg(
      jsonb_build_object('kind', done, 'relation', e.relation, 'task', o.id, 'project', o.project_id)
      order by e.relation, o.id) as changes
    from (
      select task_id, type::text as relation, related_task_id as other_id
      from jsonb_populate_recordset(null::task_relations, changed)
      union all
      select related_task_id,
        case type when 'BLOCKS' then 'BLOCKED_BY' when 'RELATES_TO' then 'RELATES_TO' else 'DUPLICATED_BY' end, task_id
      from jsonb_populate_recordset(null::task_relations, changed)
    ) as e
    join tasks t on t.id = e.task_id
    join tasks o on o.id = e.other_id
    where not exists (select from trashed_tasks d where d.id in (t.id, o.id))
    group by t.id order by t.id
  ) as changed_tasks;
  if of_tasks is not null then
    perform write_task_history(of_tasks, in_projects, array_fill(null::uuid, array[cardinality(of_tasks)]), entries, true);
  end if;
  return null;
end
$$;--> statement-breakpoint
create trigger history_insert after insert on task_relations referencing new table as new_rows for each statement execute function note_task_relation_changes('500', '10000');--> statement-breakpoint
create trigger history_delete after delete on task_relations referencing old table as old_rows for each statement execute function note_task_relation_changes('500', '10000');--> statement-breakpoint
create trigger history_truncate after truncate on task_relations for each statement execute function note_task_relation_changes('500', '10000');
