-- Normalizes stored texts to Unicode's Normalization Form C, and sets descriptions without visible characters to null. Unique
-- names are converted row by row: a name that would collide is left unchanged, as is a text that would exceed its limit.
-- ASCII texts are recognized by their length in bytes and skipped. Runs of more than 30 combining accents are skipped too,
-- because normalization takes time quadratic in their length. Only rows that change are locked.
do $$
declare
  slow constant text := E'[\\u0300-\\u036F]{31}';
  r record;
begin
  -- A description of white space was none to people, and one to filters.
  update tasks set description = null, version = version + 1, updated_at = now() where description ~ '^\s*$';
  update labels set description = null, updated_at = now() where description ~ '^\s*$';
  update projects set description = null, updated_at = now() where description ~ '^\s*$';

  -- Other encodings have no normalize().
  if getdatabaseencoding() <> 'UTF8' then
    return;
  end if;

  update tasks set
    title = case when length(normalize(title)) <= 500 then normalize(title) else title end,
    description = normalize(description),
    version = version + 1,
    updated_at = now()
  where octet_length(title) + octet_length(coalesce(description, '')) > length(title) + length(coalesce(description, ''))
    and (title || ' ' || coalesce(description, '')) !~ slow
    and (title is not nfc normalized and length(normalize(title)) <= 500 or description is not nfc normalized);
  update comments set body = normalize(body), updated_at = now()
  where octet_length(body) > length(body) and body !~ slow
    and body is not nfc normalized and length(normalize(body)) <= 65536;
  update projects set
    name = case when length(normalize(name)) <= 100 then normalize(name) else name end,
    description = normalize(description),
    updated_at = now()
  where (name || ' ' || coalesce(description, '')) !~ slow
    and (name is not nfc normalized and length(normalize(name)) <= 100 or description is not nfc normalized);
  update labels set description = normalize(description), updated_at = now()
  where description !~ slow and description is not nfc normalized;
  update users set name = normalize(name), updated_at = now() where name !~ slow and name is not nfc normalized;

  for r in select id, normalize(name) as name from labels
    where name !~ slow and name is not nfc normalized and length(normalize(name)) <= 100 order by id
  loop
    begin
      update labels set name = r.name, updated_at = now() where id = r.id;
    exception when unique_violation then
      raise notice 'label %: another label of its project has this name in Normalization Form C', r.id;
    end;
  end loop;
  for r in select id, normalize(handle) as handle from users
    where handle !~ slow and handle is not nfc normalized and length(normalize(handle)) <= 64 order by id
  loop
    begin
      update users set handle = r.handle, updated_at = now() where id = r.id;
    exception when unique_violation then
      raise notice 'user %: another user has this handle in Normalization Form C', r.id;
    end;
  end loop;
end
$$;
