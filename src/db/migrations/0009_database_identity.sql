-- The identity of this database in one state of its history, which everything cached of it carries. `id` is random. The relay replaces
-- it whenever `origin` (server, database and transaction that wrote the row) differs from where the row is now: after a dump was
-- restored, the database or its files were copied, or a standby was promoted.
create table cache_identity (
  one boolean primary key default true constraint cache_identity_one check (one),
  id text not null,
  -- The id before this one.
  previous text,
  origin text not null
);--> statement-breakpoint
insert into cache_identity (id, origin) values ('', '');
