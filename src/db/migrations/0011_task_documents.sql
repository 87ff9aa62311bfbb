CREATE TABLE "task_documents" (
	"task_id" uuid PRIMARY KEY NOT NULL,
	"project_id" uuid NOT NULL,
	"comment_words" "tsvector" NOT NULL,
	"words" "tsvector" NOT NULL
);
--> statement-breakpoint
ALTER TABLE "task_documents" ADD CONSTRAINT "task_documents_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "task_documents_words" ON "task_documents" USING gin ("words");--> statement-breakpoint

-- What the parser reads of a text. Its time is quadratic in the length of runs of '_', '~' or '<', and of characters without a space.
create function search_text(part text) returns text
language sql immutable
as $$ select regexp_replace(translate(part, '_~<', '   '), '([^ \n\r\t]{48})', '\1 ', 'g') $$;--> statement-breakpoint

-- The words of a text, as English stems and as they are. The word '.', which no search contains, keeps their positions apart, so that
-- no phrase is found across a boundary. A text of more than 80 KiB is cut: a tsvector holds 1 MiB.
create function text_words(part text, weight "char") returns tsvector
language sql immutable
as $$
  select setweight(to_tsvector('english', t) || $gap$'.':50$gap$ || to_tsvector('simple', t) || $gap$'.':50$gap$, weight)
  from (select search_text(case when octet_length(part) > 81920 then left(part, 20480) else part end) offset 0) as cut(t)
$$;--> statement-breakpoint

-- The beginnings of words that a search term finds: its last word is one, if it has at least 2 characters. A word with hyphens is
-- parsed into itself and its parts, and is one if it ends the term.
create function prefix_query(term text) returns tsquery
language sql immutable
as $$
  select coalesce(string_agg(
    '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''''
      || case when length(lexeme) > 1 and (place = last or lexeme like '%-%') and right(lower(term), length(lexeme)) = lexeme
        then ':*' else '' end,
    ' <-> ' order by place), '')::tsquery
  from (
    select lexeme, place, max(place) over () as last
    from unnest(to_tsvector('simple', search_text(term))) as w(lexeme, places, weights), unnest(places) as place
  ) as words
$$;--> statement-breakpoint

-- The words of a task but for its comments.
create function own_words(identifier text, title text, description text) returns tsvector
language sql immutable
as $$
  select text_words(identifier, 'A') || text_words(title, 'A') || text_words(coalesce(description, ''), 'C')
$$;--> statement-breakpoint

-- The words of a task's comments, from the newest on: of 200 comments and 256 KiB of text, and no more than 256 KiB of words.
create function comment_words(task uuid) returns tsvector
language plpgsql stable
as $$
declare
  words tsvector := '';
  parts tsvector[] := '{}';
  more tsvector;
  comment text;
  length int := 0;
  size int := 0;
begin
  for comment in select c.body from comments c where c.task_id = task order by c.created_at desc, c.id desc limit 200 loop
    length := length + octet_length(comment);
    exit when length > 262144;
    more := text_words(comment, 'D');
    size := size + pg_column_size(more);
    exit when size > 262144;
    parts := parts || more;
  end loop;
  for i in reverse cardinality(parts) .. 1 loop
    words := parts[i] || words;
  end loop;
  return words;
end
$$;--> statement-breakpoint

-- The words of a document. Those of comments are stored apart too, with the boundaries, so that no write of other texts parses comments.
create function document_words(own tsvector, comments tsvector) returns tsvector
language sql immutable
as $$ select ts_delete(own || comments, '.') $$;--> statement-breakpoint

-- Locks the documents of these tasks. Returns false if some were missing: these are inserted, without words. A statement that begins
-- afterwards sees what others have committed who changed texts of the same tasks.
create function lock_task_documents(ids uuid[]) returns boolean
language plpgsql
as $$
declare
  locked int;
begin
  perform from task_documents where task_id = any(ids) order by task_id for update;
  get diagnostics locked = row_count;
  if locked < cardinality(ids) then
    insert into task_documents (task_id, project_id, comment_words, words)
    select id, project_id, '', '' from tasks where id = any(ids) order by id on conflict do nothing;
    perform from task_documents where task_id = any(ids) order by task_id for update;
    return false;
  end if;
  return true;
end
$$;--> statement-breakpoint

-- Writes the documents of these tasks again, and parses their comments only if these have changed. OFFSET 0: what is compared
-- and stored is computed once.
create function write_task_documents(ids uuid[], comments_changed boolean) returns void
language plpgsql
as $$
declare
  must_parse boolean := not lock_task_documents(ids) or comments_changed;
begin
  update task_documents d set project_id = t.project_id, comment_words = t.comment_words, words = t.words
  from (
    select t.id, t.project_id, c.comment_words,
      document_words(own_words(p.key || '-' || t.number, t.title, t.description), c.comment_words) as words
    from tasks t join projects p on p.id = t.project_id join task_documents old on old.task_id = t.id,
      lateral (select case when must_parse then comment_words(t.id) else old.comment_words end offset 0) as c(comment_words)
    where t.id = any(ids) offset 0
  ) as t
  where d.task_id = t.id and (d.project_id, d.comment_words, d.words) is distinct from (t.project_id, t.comment_words, t.words);
end
$$;--> statement-breakpoint

-- Adds the words of a new comment to those that are stored. Returns false if it is not the newest of its task, or if not all comments
-- count: then the words must be written again.
create function add_comment_words(task uuid, comment uuid) returns boolean
language plpgsql
as $$
declare
  fits boolean;
  added tsvector;
begin
  if not lock_task_documents(array[task]) then
    return false;
  end if;
  select count(*) <= 200 and sum(octet_length(body)) <= 262144 and (array_agg(id order by created_at desc, id desc))[1] = comment
  into fits
  from (select id, created_at, body from comments where task_id = task order by created_at desc, id desc limit 201) as newest;
  if not fits then
    return false;
  end if;
  select text_words(body, 'D') into added from comments where id = comment;
  update task_documents d
  set comment_words = added || d.comment_words,
    words = document_words(own_words(p.key || '-' || t.number, t.title, t.description), added || d.comment_words)
  from tasks t join projects p on p.id = t.project_id
  where t.id = task and d.task_id = task
    and pg_column_size(added) + pg_column_size(d.comment_words || ''::tsvector) <= 262144;
  return found;
end
$$;--> statement-breakpoint

-- Keeps the documents of the tasks whose texts a statement changed. SECURITY DEFINER, so that roles that write tasks need no privilege
-- on documents.
create function note_task_texts() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  ids uuid[];
begin
  if tg_op = 'INSERT' then
    insert into task_documents (task_id, project_id, comment_words, words)
    select n.id, n.project_id, '', document_words(own_words(p.key || '-' || n.number, n.title, n.description), '')
    from new_rows n join projects p on p.id = n.project_id order by n.id;
  else
    ids := array(
      select n.id from new_rows n join old_rows o on o.id = n.id
      where (o.project_id, o.number, o.title) <> (n.project_id, n.number, n.title)
        or o.description is distinct from n.description);
    if ids <> '{}' then
      perform write_task_documents(ids, false);
    end if;
  end if;
  return null;
end
$$;--> statement-breakpoint

-- The same for comments. A task that is deleted with its comments has no document any more.
create function note_comment_texts() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
  ids uuid[];
begin
  if tg_op = 'INSERT' then
    ids := array(select distinct task_id from new_rows);
    if (select count(*) from new_rows) = 1 and add_comment_words(ids[1], (select id from new_rows)) then
      return null;
    end if;
  elsif tg_op = 'DELETE' then
    ids := array(select t.id from tasks t where t.id in (select task_id from old_rows));
  elsif tg_op = 'TRUNCATE' then
    ids := array(select id from tasks);
  else
    ids := array(
      select distinct task_id from (
        (select task_id, id, created_at, body from old_rows except select task_id, id, created_at, body from new_rows)
        union all
        (select task_id, id, created_at, body from new_rows except select task_id, id, created_at, body from old_rows)
      ) as changed);
  end if;
  if ids <> '{}' then
    perform write_task_documents(ids, true);
  end if;
  return null;
end
$$;--> statement-breakpoint

-- The identifiers of a project's tasks change with its key. The API does not change keys.
create function note_project_key() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  perform write_task_documents(array(select id from tasks where project_id = new.id), false);
  return null;
end
$$;--> statement-breakpoint

create trigger text_key after update of key on projects for each row
when (old.key <> new.key) execute function note_project_key();--> statement-breakpoint
create trigger text_insert after insert on tasks referencing new table as new_rows for each statement execute function note_task_texts();--> statement-breakpoint
create trigger text_update after update on tasks referencing old table as old_rows new table as new_rows for each statement execute function note_task_texts();--> statement-breakpoint
create trigger text_insert after insert on comments referencing new table as new_rows for each statement execute function note_comment_texts();--> statement-breakpoint
create trigger text_update after update on comments referencing old table as old_rows new table as new_rows for each statement execute function note_comment_texts();--> statement-breakpoint
create trigger text_delete after delete on comments referencing old table as old_rows for each statement execute function note_comment_texts();--> statement-breakpoint
create trigger text_truncate after truncate on comments for each statement execute function note_comment_texts();--> statement-breakpoint

-- Writes the documents of tasks that have none, 500 in a transaction. It may run beside writes, and again. A document that a write makes
-- meanwhile is newer than what is read here, and is kept.
create procedure fill_task_documents()
language plpgsql
as $$
declare
  ids uuid[];
  last uuid := '00000000-0000-0000-0000-000000000000';
begin
  loop
    ids := array(select id from tasks where id > last order by id limit 500 for key share);
    exit when ids = '{}';
    insert into task_documents (task_id, project_id, comment_words, words)
    select t.id, t.project_id, c.comment_words,
      document_words(own_words(p.key || '-' || t.number, t.title, t.description), c.comment_words)
    from tasks t join projects p on p.id = t.project_id, lateral (select comment_words(t.id) offset 0) as c(comment_words)
    where t.id = any(ids) and not exists (select from task_documents d where d.task_id = t.id)
    order by t.id on conflict do nothing;
    commit;
    last := ids[cardinality(ids)];
  end loop;
end
$$;
