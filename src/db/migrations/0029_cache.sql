-- What the cache needs in a database, and behind it the triggers of its tables. Written by `tagfence migration`. It can be run again.

-- The outbox: the tags of what a transaction wrote, put there by triggers inside that transaction. The relay reads it by `xid`.
create table if not exists public.cache_outbox (
  seq bigint primary key generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  tags text[] not null,
  written_at timestamptz not null default now()
);--> statement-breakpoint
create index if not exists cache_outbox_xid on public.cache_outbox (xid);--> statement-breakpoint

-- What a transaction has touched: its tags, or, if they are too many, its tables; and the table of each of its first rows. Every row of the outbox
-- holds tags of one table. A plan that a session made while the outbox was empty would read all of it until Postgres analyzes it: thus no plan may.
create or replace function public.cache_touched(
  of_xid xid8, max_tags_looked_at int, max_tags int, max_rows int, out tags text[], out tables text[]
)
language plpgsql stable set enable_seqscan = off
as $$
begin
  if (select sum(cardinality(o.tags)) from public.cache_outbox o where o.xid = of_xid) > max_tags_looked_at then
    tags := array(select distinct split_part(o.tags[1], ':', 1) from public.cache_outbox o where o.xid = of_xid);
  else
    select case when count(*) > max_tags then array_agg(distinct split_part(named.tag, ':', 1)) else coalesce(array_agg(named.tag), '{}') end
    into tags
    from (select distinct tag from public.cache_outbox o, unnest(o.tags) as tag where o.xid = of_xid) as named;
  end if;
  tables := array(select split_part(o.tags[1], ':', 1) from public.cache_outbox o where o.xid = of_xid limit max_rows);
end
$$;--> statement-breakpoint

-- No row below this transaction id is kept: a store whose position is lower cannot catch up and is purged.
create table if not exists public.cache_outbox_trim (
  one boolean primary key default true constraint cache_outbox_trim_one check (one),
  below xid8 not null
);--> statement-breakpoint
insert into public.cache_outbox_trim (below) values ('0') on conflict do nothing;--> statement-breakpoint

-- The identity of this database in one state of its history, which everything cached of it carries. `id` is random. The relay replaces
-- it whenever `origin` (server, database and transaction that wrote the row) differs from where the row is now: after a dump was
-- restored, the database or its files were copied, or a standby was promoted.
create table if not exists public.cache_identity (
  one boolean primary key default true constraint cache_identity_one check (one),
  id text not null,
  -- The id before this one.
  previous text,
  origin text not null
);--> statement-breakpoint
insert into public.cache_identity (id, origin) values ('', '') on conflict do nothing;--> statement-breakpoint

-- The tag of the row-set that a row belongs to, `tasks:project_id=…`, or with an aspect `tasks:project_id/any=…`; null when one of its
-- columns is. With {"of": {"table": "…", "columns": […]}, …} it is the row-set of another table, of which the row is a part: its columns
-- stand for those.
create or replace function public.cache_row_tag_of_many(table_name text, spec jsonb, r jsonb) returns text
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

-- The same for row-sets of one column, which nearly all are: an expression that Postgres inlines.
create or replace function public.cache_row_tag(table_name text, spec jsonb, r jsonb) returns text
language sql immutable
as $$
  select case
    when spec #> '{columns,1}' is null
    then coalesce(spec #>> '{of,table}', table_name) || ':' || coalesce(spec #>> '{of,columns,0}', spec #>> '{columns,0}')
      || coalesce('/' || (spec ->> 'aspect'), '') || '=' || (r ->> (spec #>> '{columns,0}'))
    else cache_row_tag_of_many(table_name, spec, r)
  end
$$;--> statement-breakpoint

-- The tags of a row for a row-set of an array: one for each element. None where the array is null.
create or replace function public.cache_element_tags(table_name text, spec jsonb, r jsonb) returns setof text
language sql immutable
as $$
  select cache_row_tag(table_name, spec, jsonb_build_object(spec #>> '{columns,0}', element))
  from jsonb_path_query(r -> (spec #>> '{columns,0}'), '$[*]') as e(element)
  where jsonb_typeof(element) <> 'null'
$$;--> statement-breakpoint

-- The part of a row that a row-set looks at: all but what it ignores, or only what it watches.
create or replace function public.cache_row_part(spec jsonb, r jsonb) returns jsonb
language sql immutable
as $$
  select case
    when spec ? 'watches'
    then (select jsonb_object_agg(name, r -> name) from jsonb_array_elements_text(spec -> 'watches') as w(name))
    else r - array(select jsonb_array_elements_text(spec -> 'ignores'))
  end
$$;--> statement-breakpoint

-- The one trigger function of all cached tables: writes the tags of the rows that a statement touched into the outbox, in
-- the statement's own transaction.
--   tg_argv[0]  the table's row-sets: [{"columns": […], "of": …, "aspect": …, "ignores": […] or "watches": […], "ignoresInserts": true}],
--               those of arrays last: {"columns": ["…"], "elements": true, …}
--   tg_argv[1]  statements that change more rows touch the whole table
-- An UPDATE touches a row-set where the looked-at parts of old and new rows differ, compared as multisets: no primary
-- key is needed, and a row that moves between sets touches both. SECURITY DEFINER: a role that may write a table need
-- not be allowed to write the outbox. Every row of the outbox is of one table.
create or replace function public.cache_name_rows() returns trigger
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
  place int := -1;
  array_spec jsonb;
  more text[];
begin
  if tg_op = 'INSERT' then
    select count(*) into rows_changed from (select from new_rows limit max_rows + 1) as some_rows;
  elsif tg_op <> 'TRUNCATE' then
    select count(*) into rows_changed from (select from old_rows limit max_rows + 1) as some_rows;
  end if;

  if tg_op = 'TRUNCATE' or rows_changed > max_rows then
    insert into cache_outbox (tags) values (array[tg_table_name]);
    return null;
  elsif rows_changed = 0 then
    return null;
  elsif rows_changed = 1 then
    -- The row becomes JSON once, not once for each row-set.
    if tg_op <> 'INSERT' then
      select to_jsonb(o) into old_row from old_rows o;
    end if;
    if tg_op <> 'DELETE' then
      select to_jsonb(n) into new_row from new_rows n;
    end if;
  end if;

  if rows_changed = 1 and tg_op <> 'UPDATE' then
    new_row := coalesce(new_row, old_row);
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, new_row) as tag
      from jsonb_array_elements(specs) as s(spec)
      where not spec ? 'elements' and (tg_op = 'DELETE' or not spec @> '{"ignoresInserts": true}')
    ) as tags
    where tag is not null;
  elsif tg_op = 'INSERT' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, to_jsonb(n)) as tag
      from new_rows n, jsonb_array_elements(specs) as s(spec)
      where not spec ? 'elements' and not spec @> '{"ignoresInserts": true}'
    ) as tags
    where tag is not null;
  elsif tg_op = 'DELETE' then
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, to_jsonb(o)) as tag
      from old_rows o, jsonb_array_elements(specs) as s(spec)
      where not spec ? 'elements'
    ) as tags
    where tag is not null;
  elsif rows_changed = 1 then
    -- What differs is found once, too.
    select array_agg(key) into changed from jsonb_each(new_row) as n where n.value is distinct from old_row -> n.key;
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec, r) as tag
      from jsonb_array_elements(specs) as s(spec), (values (old_row), (new_row)) as v(r)
      where case
        when changed is null then false
        when spec ? 'watches' then spec -> 'watches' ?| changed
        else not coalesce(spec -> 'ignores', '[]') ?& changed
      end and not spec ? 'elements'
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
      where not spec ? 'elements'
    ) as tags
    where tag is not null;
  end if;

  -- The row-sets of arrays. A row whose array is empty is in none of them.
  while specs -> place ? 'elements' loop
    array_spec := specs -> place;
    place := place - 1;
    if rows_changed = 1 and coalesce(old_row -> (array_spec #>> '{columns,0}'), '[]') = '[]'
      and coalesce(new_row -> (array_spec #>> '{columns,0}'), '[]') = '[]'
    then
      continue;
    elsif tg_op = 'INSERT' then
      select array_agg(distinct tag) into more
      from new_rows n, cache_element_tags(tg_table_name, array_spec, to_jsonb(n)) as tag
      where not array_spec @> '{"ignoresInserts": true}';
    elsif tg_op = 'DELETE' then
      select array_agg(distinct tag) into more
      from old_rows o, cache_element_tags(tg_table_name, array_spec, to_jsonb(o)) as tag;
    else
      select array_agg(distinct tag) into more
      from (
        with
          before as materialized (
            select cache_row_part(array_spec, r) as part from (select to_jsonb(o) as r from old_rows o) as o
            where r -> (array_spec #>> '{columns,0}') <> '[]'),
          after as materialized (
            select cache_row_part(array_spec, r) as part from (select to_jsonb(n) as r from new_rows n) as n
            where r -> (array_spec #>> '{columns,0}') <> '[]')
        (select part from before except all select part from after)
        union all
        (select part from after except all select part from before)
      ) as changed, cache_element_tags(tg_table_name, array_spec, part) as tag;
    end if;
    touched := touched || more;
  end loop;

  if touched is not null then
    insert into cache_outbox (tags) select array_agg(tag) from unnest(touched) as tag group by split_part(tag, ':', 1);
  end if;
  return null;
end
$$;--> statement-breakpoint
drop trigger if exists cache_insert on "comments";--> statement-breakpoint
create trigger cache_insert after insert on "comments" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table "comments" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "comments";--> statement-breakpoint
create trigger cache_update after update on "comments" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table "comments" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "comments";--> statement-breakpoint
create trigger cache_delete after delete on "comments" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table "comments" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "comments";--> statement-breakpoint
create trigger cache_truncate after truncate on "comments" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["task_id"],"watches":["task_id","created_at","id"]}]', '500');--> statement-breakpoint
alter table "comments" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "former_numbers";--> statement-breakpoint
create trigger cache_insert after insert on "former_numbers" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id","number"]},{"columns":["task_id"]}]', '500');--> statement-breakpoint
alter table "former_numbers" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "former_numbers";--> statement-breakpoint
create trigger cache_update after update on "former_numbers" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id","number"]},{"columns":["task_id"]}]', '500');--> statement-breakpoint
alter table "former_numbers" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "former_numbers";--> statement-breakpoint
create trigger cache_delete after delete on "former_numbers" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["project_id","number"]},{"columns":["task_id"]}]', '500');--> statement-breakpoint
alter table "former_numbers" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "former_numbers";--> statement-breakpoint
create trigger cache_truncate after truncate on "former_numbers" for each statement execute function cache_name_rows('[{"columns":["project_id","number"]},{"columns":["task_id"]}]', '500');--> statement-breakpoint
alter table "former_numbers" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "history_entries";--> statement-breakpoint
create trigger cache_insert after insert on "history_entries" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"],"ignoresInserts":true},{"columns":["project_id"],"ignoresInserts":true},{"columns":["from_project_id"],"ignoresInserts":true},{"columns":["alone_task_id"]},{"columns":["alone_project_id"]}]', '500');--> statement-breakpoint
alter table "history_entries" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "history_entries";--> statement-breakpoint
create trigger cache_update after update on "history_entries" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"],"ignoresInserts":true},{"columns":["project_id"],"ignoresInserts":true},{"columns":["from_project_id"],"ignoresInserts":true},{"columns":["alone_task_id"]},{"columns":["alone_project_id"]}]', '500');--> statement-breakpoint
alter table "history_entries" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "history_entries";--> statement-breakpoint
create trigger cache_delete after delete on "history_entries" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"],"ignoresInserts":true},{"columns":["project_id"],"ignoresInserts":true},{"columns":["from_project_id"],"ignoresInserts":true},{"columns":["alone_task_id"]},{"columns":["alone_project_id"]}]', '500');--> statement-breakpoint
alter table "history_entries" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "history_entries";--> statement-breakpoint
create trigger cache_truncate after truncate on "history_entries" for each statement execute function cache_name_rows('[{"columns":["task_id"],"ignoresInserts":true},{"columns":["project_id"],"ignoresInserts":true},{"columns":["from_project_id"],"ignoresInserts":true},{"columns":["alone_task_id"]},{"columns":["alone_project_id"]}]', '500');--> statement-breakpoint
alter table "history_entries" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "invitations";--> statement-breakpoint
create trigger cache_insert after insert on "invitations" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "invitations" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "invitations";--> statement-breakpoint
create trigger cache_update after update on "invitations" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "invitations" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "invitations";--> statement-breakpoint
create trigger cache_delete after delete on "invitations" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "invitations" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "invitations";--> statement-breakpoint
create trigger cache_truncate after truncate on "invitations" for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "invitations" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "labels";--> statement-breakpoint
create trigger cache_insert after insert on "labels" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table "labels" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "labels";--> statement-breakpoint
create trigger cache_update after update on "labels" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table "labels" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "labels";--> statement-breakpoint
create trigger cache_delete after delete on "labels" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table "labels" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "labels";--> statement-breakpoint
create trigger cache_truncate after truncate on "labels" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","name","id"]},{"columns":["project_id"],"aspect":"any"}]', '500');--> statement-breakpoint
alter table "labels" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "project_members";--> statement-breakpoint
create trigger cache_insert after insert on "project_members" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "project_members" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "project_members";--> statement-breakpoint
create trigger cache_update after update on "project_members" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "project_members" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "project_members";--> statement-breakpoint
create trigger cache_delete after delete on "project_members" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "project_members" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "project_members";--> statement-breakpoint
create trigger cache_truncate after truncate on "project_members" for each statement execute function cache_name_rows('[{"columns":["user_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "project_members" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "projects";--> statement-breakpoint
create trigger cache_insert after insert on "projects" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table "projects" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "projects";--> statement-breakpoint
create trigger cache_update after update on "projects" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table "projects" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "projects";--> statement-breakpoint
create trigger cache_delete after delete on "projects" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table "projects" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "projects";--> statement-breakpoint
create trigger cache_truncate after truncate on "projects" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["key"],"watches":["key","id"]}]', '500');--> statement-breakpoint
alter table "projects" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "task_documents";--> statement-breakpoint
create trigger cache_insert after insert on "task_documents" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"],"ignoresInserts":true}]', '500');--> statement-breakpoint
alter table "task_documents" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "task_documents";--> statement-breakpoint
create trigger cache_update after update on "task_documents" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"],"ignoresInserts":true}]', '500');--> statement-breakpoint
alter table "task_documents" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "task_documents";--> statement-breakpoint
create trigger cache_delete after delete on "task_documents" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["project_id"],"ignoresInserts":true}]', '500');--> statement-breakpoint
alter table "task_documents" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "task_documents";--> statement-breakpoint
create trigger cache_truncate after truncate on "task_documents" for each statement execute function cache_name_rows('[{"columns":["project_id"],"ignoresInserts":true}]', '500');--> statement-breakpoint
alter table "task_documents" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "task_labels";--> statement-breakpoint
create trigger cache_insert after insert on "task_labels" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "task_labels" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "task_labels";--> statement-breakpoint
create trigger cache_update after update on "task_labels" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "task_labels" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "task_labels";--> statement-breakpoint
create trigger cache_delete after delete on "task_labels" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "task_labels" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "task_labels";--> statement-breakpoint
create trigger cache_truncate after truncate on "task_labels" for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["task_id"],"of":{"table":"tasks","columns":["id"]}},{"columns":["label_id"]},{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "task_labels" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "task_relations";--> statement-breakpoint
create trigger cache_insert after insert on "task_relations" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["related_task_id"]},{"columns":["blocked_project_id"]}]', '500');--> statement-breakpoint
alter table "task_relations" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "task_relations";--> statement-breakpoint
create trigger cache_update after update on "task_relations" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["related_task_id"]},{"columns":["blocked_project_id"]}]', '500');--> statement-breakpoint
alter table "task_relations" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "task_relations";--> statement-breakpoint
create trigger cache_delete after delete on "task_relations" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["related_task_id"]},{"columns":["blocked_project_id"]}]', '500');--> statement-breakpoint
alter table "task_relations" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "task_relations";--> statement-breakpoint
create trigger cache_truncate after truncate on "task_relations" for each statement execute function cache_name_rows('[{"columns":["task_id"]},{"columns":["related_task_id"]},{"columns":["blocked_project_id"]}]', '500');--> statement-breakpoint
alter table "task_relations" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "tasks";--> statement-breakpoint
create trigger cache_insert after insert on "tasks" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["project_id"],"aspect":"any"},{"columns":["project_id"],"aspect":"membership","watches":["id","project_id","number","creator_id","created_at"]},{"columns":["parent_id"],"aspect":"membership","watches":["parent_id","id","project_id","number","creator_id","created_at"]},{"columns":["project_id"],"aspect":"status","watches":["project_id","status","completed_at"]},{"columns":["project_id"],"aspect":"priority","watches":["project_id","priority"]},{"columns":["project_id"],"aspect":"assignee","watches":["project_id","assignee_id"]},{"columns":["project_id"],"aspect":"due_date","watches":["project_id","due_date"]},{"columns":["project_id"],"aspect":"order","watches":["project_id","sort_order"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"other_assignees","watches":["project_id","other_assignee_ids"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"start_date","watches":["project_id","start_date"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"estimate","watches":["project_id","estimate"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"parent","watches":["project_id","parent_id"]},{"columns":["project_id"],"aspect":"stats","watches":["project_id","status","priority","due_date","created_at","completed_at"]},{"columns":["other_assignee_ids"],"elements":true,"of":{"table":"tasks","columns":["assignee_id"]},"ignores":["title","description","version","updated_at","source_url","sort_order"]}]', '500');--> statement-breakpoint
alter table "tasks" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "tasks";--> statement-breakpoint
create trigger cache_update after update on "tasks" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["project_id"],"aspect":"any"},{"columns":["project_id"],"aspect":"membership","watches":["id","project_id","number","creator_id","created_at"]},{"columns":["parent_id"],"aspect":"membership","watches":["parent_id","id","project_id","number","creator_id","created_at"]},{"columns":["project_id"],"aspect":"status","watches":["project_id","status","completed_at"]},{"columns":["project_id"],"aspect":"priority","watches":["project_id","priority"]},{"columns":["project_id"],"aspect":"assignee","watches":["project_id","assignee_id"]},{"columns":["project_id"],"aspect":"due_date","watches":["project_id","due_date"]},{"columns":["project_id"],"aspect":"order","watches":["project_id","sort_order"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"other_assignees","watches":["project_id","other_assignee_ids"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"start_date","watches":["project_id","start_date"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"estimate","watches":["project_id","estimate"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"parent","watches":["project_id","parent_id"]},{"columns":["project_id"],"aspect":"stats","watches":["project_id","status","priority","due_date","created_at","completed_at"]},{"columns":["other_assignee_ids"],"elements":true,"of":{"table":"tasks","columns":["assignee_id"]},"ignores":["title","description","version","updated_at","source_url","sort_order"]}]', '500');--> statement-breakpoint
alter table "tasks" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "tasks";--> statement-breakpoint
create trigger cache_delete after delete on "tasks" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["project_id"],"aspect":"any"},{"columns":["project_id"],"aspect":"membership","watches":["id","project_id","number","creator_id","created_at"]},{"columns":["parent_id"],"aspect":"membership","watches":["parent_id","id","project_id","number","creator_id","created_at"]},{"columns":["project_id"],"aspect":"status","watches":["project_id","status","completed_at"]},{"columns":["project_id"],"aspect":"priority","watches":["project_id","priority"]},{"columns":["project_id"],"aspect":"assignee","watches":["project_id","assignee_id"]},{"columns":["project_id"],"aspect":"due_date","watches":["project_id","due_date"]},{"columns":["project_id"],"aspect":"order","watches":["project_id","sort_order"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"other_assignees","watches":["project_id","other_assignee_ids"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"start_date","watches":["project_id","start_date"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"estimate","watches":["project_id","estimate"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"parent","watches":["project_id","parent_id"]},{"columns":["project_id"],"aspect":"stats","watches":["project_id","status","priority","due_date","created_at","completed_at"]},{"columns":["other_assignee_ids"],"elements":true,"of":{"table":"tasks","columns":["assignee_id"]},"ignores":["title","description","version","updated_at","source_url","sort_order"]}]', '500');--> statement-breakpoint
alter table "tasks" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "tasks";--> statement-breakpoint
create trigger cache_truncate after truncate on "tasks" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id","number"],"watches":["project_id","number","id"]},{"columns":["project_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["assignee_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["parent_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["creator_id"],"ignores":["title","description","version","updated_at","source_url","sort_order"]},{"columns":["project_id"],"aspect":"any"},{"columns":["project_id"],"aspect":"membership","watches":["id","project_id","number","creator_id","created_at"]},{"columns":["parent_id"],"aspect":"membership","watches":["parent_id","id","project_id","number","creator_id","created_at"]},{"columns":["project_id"],"aspect":"status","watches":["project_id","status","completed_at"]},{"columns":["project_id"],"aspect":"priority","watches":["project_id","priority"]},{"columns":["project_id"],"aspect":"assignee","watches":["project_id","assignee_id"]},{"columns":["project_id"],"aspect":"due_date","watches":["project_id","due_date"]},{"columns":["project_id"],"aspect":"order","watches":["project_id","sort_order"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"other_assignees","watches":["project_id","other_assignee_ids"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"start_date","watches":["project_id","start_date"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"estimate","watches":["project_id","estimate"],"ignoresInserts":true},{"columns":["project_id"],"aspect":"parent","watches":["project_id","parent_id"]},{"columns":["project_id"],"aspect":"stats","watches":["project_id","status","priority","due_date","created_at","completed_at"]},{"columns":["other_assignee_ids"],"elements":true,"of":{"table":"tasks","columns":["assignee_id"]},"ignores":["title","description","version","updated_at","source_url","sort_order"]}]', '500');--> statement-breakpoint
alter table "tasks" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "trashed_members";--> statement-breakpoint
create trigger cache_insert after insert on "trashed_members" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]}]', '500');--> statement-breakpoint
alter table "trashed_members" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "trashed_members";--> statement-breakpoint
create trigger cache_update after update on "trashed_members" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]}]', '500');--> statement-breakpoint
alter table "trashed_members" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "trashed_members";--> statement-breakpoint
create trigger cache_delete after delete on "trashed_members" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["user_id"]}]', '500');--> statement-breakpoint
alter table "trashed_members" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "trashed_members";--> statement-breakpoint
create trigger cache_truncate after truncate on "trashed_members" for each statement execute function cache_name_rows('[{"columns":["user_id"]}]', '500');--> statement-breakpoint
alter table "trashed_members" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "trashed_projects";--> statement-breakpoint
create trigger cache_insert after insert on "trashed_projects" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table "trashed_projects" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "trashed_projects";--> statement-breakpoint
create trigger cache_update after update on "trashed_projects" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table "trashed_projects" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "trashed_projects";--> statement-breakpoint
create trigger cache_delete after delete on "trashed_projects" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table "trashed_projects" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "trashed_projects";--> statement-breakpoint
create trigger cache_truncate after truncate on "trashed_projects" for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');--> statement-breakpoint
alter table "trashed_projects" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "trashed_tasks";--> statement-breakpoint
create trigger cache_insert after insert on "trashed_tasks" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","id","deleted_at"]}]', '500');--> statement-breakpoint
alter table "trashed_tasks" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "trashed_tasks";--> statement-breakpoint
create trigger cache_update after update on "trashed_tasks" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","id","deleted_at"]}]', '500');--> statement-breakpoint
alter table "trashed_tasks" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "trashed_tasks";--> statement-breakpoint
create trigger cache_delete after delete on "trashed_tasks" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","id","deleted_at"]}]', '500');--> statement-breakpoint
alter table "trashed_tasks" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "trashed_tasks";--> statement-breakpoint
create trigger cache_truncate after truncate on "trashed_tasks" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["project_id"],"watches":["project_id","id","deleted_at"]}]', '500');--> statement-breakpoint
alter table "trashed_tasks" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "users";--> statement-breakpoint
create trigger cache_insert after insert on "users" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]},{"columns":["verified_email"],"watches":["verified_email","email","state","id"]},{"columns":["state"],"aspect":"names","watches":["state","id","handle","name"]}]', '500');--> statement-breakpoint
alter table "users" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "users";--> statement-breakpoint
create trigger cache_update after update on "users" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]},{"columns":["verified_email"],"watches":["verified_email","email","state","id"]},{"columns":["state"],"aspect":"names","watches":["state","id","handle","name"]}]', '500');--> statement-breakpoint
alter table "users" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "users";--> statement-breakpoint
create trigger cache_delete after delete on "users" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]},{"columns":["verified_email"],"watches":["verified_email","email","state","id"]},{"columns":["state"],"aspect":"names","watches":["state","id","handle","name"]}]', '500');--> statement-breakpoint
alter table "users" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "users";--> statement-breakpoint
create trigger cache_truncate after truncate on "users" for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]},{"columns":["verified_email"],"watches":["verified_email","email","state","id"]},{"columns":["state"],"aspect":"names","watches":["state","id","handle","name"]}]', '500');--> statement-breakpoint
alter table "users" enable always trigger cache_truncate;--> statement-breakpoint
drop trigger if exists cache_insert on "webhooks";--> statement-breakpoint
create trigger cache_insert after insert on "webhooks" referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "webhooks" enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on "webhooks";--> statement-breakpoint
create trigger cache_update after update on "webhooks" referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "webhooks" enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on "webhooks";--> statement-breakpoint
create trigger cache_delete after delete on "webhooks" referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "webhooks" enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on "webhooks";--> statement-breakpoint
create trigger cache_truncate after truncate on "webhooks" for each statement execute function cache_name_rows('[{"columns":["project_id"]}]', '500');--> statement-breakpoint
alter table "webhooks" enable always trigger cache_truncate;
