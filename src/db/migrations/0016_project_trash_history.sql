-- Writes when projects went into the trash and when they came back. A project that is purged has no history any longer.
create function note_trashed_project_history() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into history_entries (project_id, changes) select id, '[{"kind": "PROJECT_DELETED"}]' from new_rows;
  elsif tg_op = 'UPDATE' then
    -- Deleted again, after an operator had given it members.
    insert into history_entries (project_id, changes)
    select n.id, '[{"kind": "PROJECT_DELETED"}]'
    from old_rows o join new_rows n on n.id = o.id where n.deleted_at <> o.deleted_at;
  else
    insert into history_entries (project_id, changes)
    select o.id, '[{"kind": "PROJECT_RESTORED"}]' from old_rows o join projects p on p.id = o.id;
  end if;
  return null;
end
$$;--> statement-breakpoint

create trigger history_insert after insert on trashed_projects referencing new table as new_rows for each statement execute function note_trashed_project_history();--> statement-breakpoint
create trigger history_update after update on trashed_projects referencing old table as old_rows new table as new_rows for each statement execute function note_trashed_project_history();--> statement-breakpoint
create trigger history_delete after delete on trashed_projects referencing old table as old_rows for each statement execute function note_trashed_project_history();
