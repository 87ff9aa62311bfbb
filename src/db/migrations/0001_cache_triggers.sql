-- The tag of a row in a row-set: `tasks:project_id=…`; null if one of the columns is null.
create function cache_row_tag(table_name text, columns jsonb, r jsonb) returns text
language sql immutable
as $$
  select case
    when bool_and(r ->> name is not null)
    then table_name || ':' || string_agg(name, ',' order by place) || '=' || string_agg(r ->> name, ',' order by place)
  end
  from jsonb_array_elements_text(columns) with ordinality as c(name, place)
$$;--> statement-breakpoint

-- The columns of a row that a row-set watches: all but the ignored ones, or only the watched ones.
create function cache_row_part(spec jsonb, r jsonb) returns jsonb
language sql immutable
as $$
  select case
    when spec ? 'watches'
    then (select jsonb_object_agg(name, r -> name) from jsonb_array_elements_text(spec -> 'watches') as w(name))
    else r - array(select jsonb_array_elements_text(spec -> 'ignores'))
  end
$$;--> statement-breakpoint

-- The trigger function of all cached tables: writes the tags of the rows that a statement touched into the outbox, in
-- the same transaction.
--   tg_argv[0]  the table's row-sets: [{"columns": […], "ignores": […] or "watches": […]}]
--   tg_argv[1]  a statement that changes more rows touches the whole table
-- An UPDATE touches a row-set if the watched columns of old and new rows differ. They are compared as multisets: no
-- primary key is needed, and a row that moves between sets touches both. SECURITY DEFINER, so that roles that write the
-- table need no privilege on the outbox.
create function cache_name_rows() returns trigger
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
      select cache_row_tag(tg_table_name, spec -> 'columns', to_jsonb(n)) as tag
      from new_rows n, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  elsif tg_op = 'DELETE' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', to_jsonb(o)) as tag
      from old_rows o, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  else
    with
      before as materialized (select to_jsonb(o) as r from old_rows o),
      after as materialized (select to_jsonb(n) as r from new_rows n)
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', part) as tag
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

insert into cache_outbox_trim (below) values ('0');--> statement-breakpoint

drop trigger if exists cache_insert on users;--> statement-breakpoint
create trigger cache_insert after insert on users referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on users;--> statement-breakpoint
create trigger cache_update after update on users referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on users;--> statement-breakpoint
create trigger cache_delete after delete on users referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on users;--> statement-breakpoint
create trigger cache_truncate after truncate on users for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on projects;--> statement-breakpoint
create trigger cache_insert after insert on projects referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table projects enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on projects;--> statement-breakpoint
create trigger cache_update after update on projects referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table projects enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on projects;--> statement-breakpoint
create trigger cache_delete after delete on projects referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table projects enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on projects;--> statement-breakpoint
create trigger cache_truncate after truncate on projects for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table projects enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on project_members;--> statement-breakpoint
create trigger cache_insert after insert on project_members referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table project_members enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on project_members;--> statement-breakpoint
create trigger cache_update after update on project_members referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table project_members enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on project_members;--> statement-breakpoint
create trigger cache_delete after delete on project_members referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table project_members enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on project_members;--> statement-breakpoint
create trigger cache_truncate after truncate on project_members for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table project_members enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on labels;--> statement-breakpoint
create trigger cache_insert after insert on labels referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]}]', '500');--> statement-breakpoint
alter table labels enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on labels;--> statement-breakpoint
create trigger cache_update after update on labels referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]}]', '500');--> statement-breakpoint
alter table labels enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on labels;--> statement-breakpoint
create trigger cache_delete after delete on labels referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]}]', '500');--> statement-breakpoint
alter table labels enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on labels;--> statement-breakpoint
create trigger cache_truncate after truncate on labels for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]}]', '500');--> statement-breakpoint
alter table labels enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on tasks;--> statement-breakpoint
create trigger cache_insert after insert on tasks referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on tasks;--> statement-breakpoint
create trigger cache_update after update on tasks referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on tasks;--> statement-breakpoint
create trigger cache_delete after delete on tasks referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on tasks;--> statement-breakpoint
create trigger cache_truncate after truncate on tasks for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url"]}]', '500');--> statement-breakpoint
alter table tasks enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on task_labels;--> statement-breakpoint
create trigger cache_insert after insert on task_labels referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on task_labels;--> statement-breakpoint
create trigger cache_update after update on task_labels referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on task_labels;--> statement-breakpoint
create trigger cache_delete after delete on task_labels referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on task_labels;--> statement-breakpoint
create trigger cache_truncate after truncate on task_labels for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["label_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_truncate;--> statement-breakpoint

drop trigger if exists cache_insert on comments;--> statement-breakpoint
create trigger cache_insert after insert on comments referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table comments enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on comments;--> statement-breakpoint
create trigger cache_update after update on comments referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table comments enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on comments;--> statement-breakpoint
create trigger cache_delete after delete on comments referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table comments enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on comments;--> statement-breakpoint
create trigger cache_truncate after truncate on comments for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table comments enable always trigger cache_truncate;
