-- An UPDATE of one row, the most frequent kind, determines the changed columns once rather than once per row-set.
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
  elsif rows_changed = 1 then
    -- What differs is found once, not once for each row-set.
    select to_jsonb(o) into old_row from old_rows o;
    select to_jsonb(n) into new_row from new_rows n;
    select array_agg(key) into changed from jsonb_each(new_row) as n where n.value is distinct from old_row -> n.key;
    select array_agg(distinct tag) into touched
    from (
      select cache_row_tag(tg_table_name, spec -> 'columns', spec ->> 'aspect', r) as tag
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
$$;
