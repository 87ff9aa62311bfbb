CREATE TABLE "task_documents" (
	"task_id" uuid PRIMARY KEY NOT NULL,
	"project_id" uuid NOT NULL,
	"words" "tsvector" NOT NULL
);
--> statement-breakpoint
ALTER TABLE "task_documents" ADD CONSTRAINT "task_documents_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "task_documents_words" ON "task_documents" USING gin ("words");--> statement-breakpoint

-- The words of a text, as English stems and as they are. The word '.', which no search contains, keeps their positions apart, so that
-- no phrase is found across a boundary. A text of more than 80 KiB is cut: a tsvector holds 1 MiB.
create function text_words(part text, weight "char") returns tsvector
language sql immutable
as $$
  select setweight(to_tsvector('english', t) || $gap$'.':50$gap$ || to_tsvector('simple', t) || $gap$'.':50$gap$, weight)
  from (select case when octet_length(part) > 81920 then left(part, 20480) else part end) as cut(t)
$$;--> statement-breakpoint

-- The words of a task. Its comments count from the newest on: 200 of them, and no more than fit into a document of 256 KiB.
create function task_words(task uuid, identifier text, title text, description text) returns tsvector
language plpgsql stable
as $$
declare
  words tsvector := text_words(identifier, 'A') || text_words(title, 'A') || text_words(coalesce(description, ''), 'C');
  more tsvector;
  comment text;
begin
  for comment in select c.body from comments c where c.task_id = task order by c.created_at desc, c.id desc limit 200 loop
    more := text_words(comment, 'D');
    exit when pg_column_size(words) + pg_column_size(more) > 262144;
    words := words || more;
  end loop;
  return ts_delete(words, '.');
end
$$;--> statement-breakpoint

-- Writes the documents of these tasks again. The texts are read in a statement that begins when the documents are locked, so it sees
-- what others have committed who changed texts of the same tasks.
create function write_task_documents(ids uuid[]) returns void
language plpgsql
as $$
declare
  locked int;
begin
  perform from task_documents where task_id = any(ids) order by task_id for update;
  get diagnostics locked = row_count;
  if locked < cardinality(ids) then
    insert into task_documents (task_id, project_id, words)
    select id, project_id, '' from tasks where id = any(ids) order by id on conflict do nothing;
    perform from task_documents where task_id = any(ids) order by task_id for update;
  end if;
  update task_documents d set project_id = t.project_id, words = t.words
  from (
    select t.id, t.project_id, task_words(t.id, p.key || '-' || t.number, t.title, t.description) as words
    from tasks t join projects p on p.id = t.project_id where t.id = any(ids)
  ) as t
  where d.task_id = t.id and (d.project_id, d.words) is distinct from (t.project_id, t.words);
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
    insert into task_documents (task_id, project_id, words)
    select n.id, n.project_id, task_words(n.id, p.key || '-' || n.number, n.title, n.description)
    from new_rows n join projects p on p.id = n.project_id order by n.id;
  else
    ids := array(
      select n.id from new_rows n join old_rows o on o.id = n.id
      where (o.project_id, o.number, o.title) <> (n.project_id, n.number, n.title)
        or o.description is distinct from n.description);
    if ids <> '{}' then
      perform write_task_documents(ids);
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
    perform write_task_documents(ids);
  end if;
  return null;
end
$$;--> statement-breakpoint

-- The identifiers of a project's tasks change with its key. The API does not change keys.
create function note_project_key() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  perform write_task_documents(array(select id from tasks where project_id = new.id));
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
    insert into task_documents (task_id, project_id, words)
    select t.id, t.project_id, task_words(t.id, p.key || '-' || t.number, t.title, t.description)
    from tasks t join projects p on p.id = t.project_id
    where t.id = any(ids) and not exists (select from task_documents d where d.task_id = t.id)
    order by t.id on conflict do nothing;
    commit;
    last := ids[cardinality(ids)];
  end loop;
end
$$;
