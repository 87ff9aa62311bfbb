-- The tag of a row in a row-set: `tasks:project_id=…`, or with an aspect `tasks:project_id/any=…`; null if one of the
-- columns is null. With {"of": {"table": "…", "columns": […]}, …} the row is part of a row of another table, and the tag
-- names a row-set of that table; `columns` correspond to `of.columns`.
create function cache_row_tag_of_many(table_name text, spec jsonb, r jsonb) returns text
language sql immutable
as $$
  select case
    when bool_and(r ->> name is not null)
    then coalesce(spec #>> '{of,table}', table_name) || ':'
      || string_agg(coalesce(spec #>> array['of', 'columns', (place - 1)::text], name), ',' order by place)
      || coalesce('/' || (spec ->> 'aspect'), '')
      || '=' || string_agg(r ->> name, ',' order by place)
  end
  from jsonb_array_elements_text(spec -> 'columns') with ordinality as c(name, place)
$$;--> statement-breakpoint

-- The tag of a row-set with one column, as nearly all have: a single expression, which Postgres inlines.
create function cache_row_tag(table_name text, spec jsonb, r jsonb) returns text
language sql immutable
as $$
  select case
    when spec #> '{columns,1}' is null
    then coalesce(spec #>> '{of,table}', table_name) || ':' || coalesce(spec #>> '{of,columns,0}', spec #>> '{columns,0}')
      || coalesce('/' || (spec ->> 'aspect'), '') || '=' || (r ->> (spec #>> '{columns,0}'))
    else cache_row_tag_of_many(table_name, spec, r)
  end
$$;--> statement-breakpoint

-- Every row of the outbox belongs to one table, even if the row-sets of a trigger belong to several.
create or replace function cache_name_rows() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  specs jsonb := tg_argv[0];
  max_rows int := tg_argv[1];
  rows_changed int := 0;
  touched text[];
  old_row jsonb;
  new_row jsonb;
  changed text[];
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
      select cache_row_tag(tg_table_name, spec, to_jsonb(n)) as tag
      from new_rows n, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  elsif tg_op = 'DELETE' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, to_jsonb(o)) as tag
      from old_rows o, jsonb_array_elements(specs) as s(spec)
    ) as tags
    where tag is not null;
  elsif rows_changed = 1 then
    -- What differs is found once, not once for each row-set.
    select to_jsonb(o) into old_row from old_rows o;
    select to_jsonb(n) into new_row from new_rows n;
    select array_agg(key) into changed from jsonb_each(new_row) as n where n.value is distinct from old_row -> n.key;
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, r) as tag
      from jsonb_array_elements(specs) as s(spec), (values (old_row), (new_row)) as v(r)
      where case
        when changed is null then false
        when spec ? 'watches' then spec -> 'watches' ?| changed
        else not coalesce(spec -> 'ignores', '[]') ?& changed
      end
    ) as tags
    where tag is not null;
  else
    with
      before as materialized (select to_jsonb(o) as r from old_rows o),
      after as materialized (select to_jsonb(n) as r from new_rows n)
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, part) as tag
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
    insert into cache_outbox (tags) select array_agg(tag) from unnest(touched) as tag group by split_part(tag, ':', 1);
  end if;
  return null;
end
$$;--> statement-breakpoint

drop function cache_row_tag(text, jsonb, text, jsonb);--> statement-breakpoint

drop trigger if exists cache_insert on task_labels;--> statement-breakpoint
create trigger cache_insert after insert on task_labels referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on task_labels;--> statement-breakpoint
create trigger cache_update after update on task_labels referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on task_labels;--> statement-breakpoint
create trigger cache_delete after delete on task_labels referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on task_labels;--> statement-breakpoint
create trigger cache_truncate after truncate on task_labels for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table task_labels enable always trigger cache_truncate;
