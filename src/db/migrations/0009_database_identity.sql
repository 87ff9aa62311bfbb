-- Which database this is, in which state of its history: what a cache of it carries, so that a cache of another is told apart.
-- `id` is random; the relay gives another one whenever `place`, where and when the id was given, is not where and when the row is
-- found. A dump, a copy of the database or of its files, and a promoted standby bring the row along, but not its place.
create table cache_identity (
  one boolean primary key default true constraint cache_identity_one check (one),
  id text not null,
  -- The id before: that of the database which this one was made from.
  previous text,
  place text not null
);--> statement-breakpoint
insert into cache_identity (id, place) values ('', '');
