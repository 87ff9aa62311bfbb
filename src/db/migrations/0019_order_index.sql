-- Outside of a transaction: the index of a million tasks takes some seconds, in which they can be written. One that an interrupted run
-- left behind is built again.
do $$
begin
  if exists (
    select from pg_index i where i.indexrelid = to_regclass('tasks_by_project_manual') and not i.indisvalid
      and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
  ) then
    drop index tasks_by_project_manual;
  end if;
end
$$;--> statement-breakpoint
create index concurrently if not exists tasks_by_project_manual
on tasks (project_id, (coalesce(sort_order, default_sort_order(number)) collate "C"), id);
