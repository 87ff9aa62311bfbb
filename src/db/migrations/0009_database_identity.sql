-- The identity of this database in its current history; every cache entry belongs to one. `id` is random. The relay replaces
-- it if `origin` (server, database and transaction that wrote the row) differs from where the row is now: after a restore
-- of a dump, a copy of the database or its files, or the promotion of a standby.
create table cache_identity (
  one boolean primary key default true constraint cache_identity_one check (one),
  id text not null,
  -- The id before this one.
  previous text,
  origin text not null
);--> statement-breakpoint
insert into cache_identity (id, origin) values ('', '');
