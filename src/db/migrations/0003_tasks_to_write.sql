-- Takes the locks of a write of tasks in one statement, in the order that all writes use: the project locks of the tasks,
-- the viewer's memberships, the parent trees if requested, the tasks. Each statement of a function sees what was committed
-- before it began, so permissions are read under the project locks, and tasks under their row locks.
--   roles    roles that can write
--   others   additional tasks to lock
-- Returns a row for each of `ids` that exists: the viewer's role in the project where the task was found before locking, if
-- any; when that project was archived, if it was; and the locked task, if the viewer can write it and its project is locked.
create function tasks_to_write(viewer uuid, ids uuid[], others uuid[], roles project_role[], tree boolean)
returns table (seen_id uuid, role project_role, archived_at timestamptz, task tasks)
language plpgsql
as $$
#variable_conflict use_column
declare
  seen_ids uuid[];
  seen_projects uuid[];
  own_projects uuid[];
  own_roles project_role[];
  archived timestamptz[];
  writable uuid[];
  project uuid;
begin
  select array_agg(t.id), array_agg(t.project_id) into seen_ids, seen_projects from tasks t where t.id = any(ids);
  for project in select distinct p from unnest(seen_projects) as p order by p loop
    perform pg_advisory_xact_lock_shared(hashtextextended(project::text, 1)); -- projects/gates.ts
  end loop;

  -- Held against removal by whoever does not pass the gate: an operator, a deleted user.
  select array_agg(m.project_id), array_agg(m.role), array_agg(m.archived_at) into own_projects, own_roles, archived
  from (
    select m.project_id, m.role, p.archived_at
    from project_members m join projects p on p.id = m.project_id
    where m.project_id = any(seen_projects) and m.user_id = viewer
    for share of m
  ) as m;
  writable := array(
    select p from unnest(own_projects, own_roles, archived) as m(p, r, a) where r = any(roles) and a is null order by p);

  if tree then
    foreach project in array writable loop
      perform pg_advisory_xact_lock(hashtextextended(project::text, 0)); -- task.locks.ts
    end loop;
  end if;
  perform from tasks t where t.id = any(ids || others) and t.project_id = any(writable) order by t.id for update;

  return query
    select s.id, m.r, m.a, t
    from unnest(seen_ids, seen_projects) as s(id, project_id)
    left join unnest(own_projects, own_roles, archived) as m(p, r, a) on m.p = s.project_id
    left join tasks t on t.id = s.id and t.project_id = any(writable);
end
$$;
