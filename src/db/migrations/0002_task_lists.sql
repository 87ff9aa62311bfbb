CREATE INDEX "tasks_by_creator" ON "tasks" USING btree ("creator_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_project_updated" ON "tasks" USING btree ("project_id","updated_at","id");--> statement-breakpoint
CREATE INDEX "tasks_by_project_due" ON "tasks" USING btree ("project_id","due_date","id");--> statement-breakpoint
CREATE INDEX "tasks_search" ON "tasks" USING gin (to_tsvector('english', "title" || ' ' || coalesce("description", '')));--> statement-breakpoint

-- The tag of a row in a row-set: `tasks:project_id=…`, or with an aspect `tasks:project_id/any=…`; null if one of the
-- columns is null.
create function cache_row_tag(table_name text, columns jsonb, aspect text, r jsonb) returns text
language sql immutable
as $$
  select case
    when bool_and(r ->> name is not null)
    then table_name || ':' || string_agg(name, ',' order by place) || coalesce('/' || aspect, '')
      || '=' || string_agg(r ->> name, ',' order by place)
  end
  from jsonb_array_elements_text(columns) with ordinality as c(name, place)
$$;--> statement-breakpoint

-- Row-sets can have an aspect: {"columns": […], "aspect": "…", …} is another row-set of the same rows, which watches other
-- columns.
create or replace function cache_name_rows() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  specs jsonb := tg_argv[0];
  max_rows int := tg_argv[1];
  rows_changed int := 0;
  touched text[];
begin
  if tg_op = 'INSERT' then
    select count(*) into rows_changed from (select from new_rows limit max_rows + 1) as some_rows;
  elsif tg_op <> 'TRUNCATE' then
    select count(*) into rows_changed from (select from old_rows limit max_rows + 1) as some_rows;
  end if;

  if tg_op = 'TRUNCATE' or rows_changed > max_rows then
    touched := array[tg_table_name];
  elsif rows_changed = 0 then
    return null;
  elsif tg_op = 'INSERT' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', spec ->> 'aspect', to_jsonb(n)) as tag
      from new_rows n, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  elsif tg_op = 'DELETE' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', spec ->> 'aspect', to_jsonb(o)) as tag
      from old_rows o, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  else
    with
      before as materialized (select to_jsonb(o) as r from old_rows o),
      after as materialized (select to_jsonb(n) as r from new_rows n)
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', spec ->> 'aspect', part) as tag
      from jsonb_array_elements(specs) as s(spec),
      lateral (
        (select cache_row_part(spec, r) as part from before except all select cache_row_part(spec, r) from after)
        union all
        (select cache_row_part(spec, r) from after except all select cache_row_part(spec, r) from before)
      ) as changed
    ) as tags
    where tag is not null;
  end if;

  if touched is not null then
    insert into cache_outbox (tags) values (touched);
  end if;
  return null;
end
$$;--> statement-breakpoint

drop function cache_row_tag(text, jsonb, jsonb);--> statement-breakpoint

drop trigger if exists cache_insert on tasks;--> statement-breakpoint
create trigger cache_insert after insert on tasks referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on tasks;--> statement-breakpoint
create trigger cache_update after update on tasks referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on tasks;--> statement-breakpoint
create trigger cache_delete after delete on tasks referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on tasks;--> statement-breakpoint
create trigger cache_truncate after truncate on tasks for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on task_labels;--> statement-breakpoint
create trigger cache_insert after insert on task_labels referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on task_labels;--> statement-breakpoint
create trigger cache_update after update on task_labels referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on task_labels;--> statement-breakpoint
create trigger cache_delete after delete on task_labels referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on task_labels;--> statement-breakpoint
create trigger cache_truncate after truncate on task_labels for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_truncate;
