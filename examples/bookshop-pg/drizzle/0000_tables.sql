create table authors (
  id integer primary key generated always as identity,
  name text not null
);--> statement-breakpoint
create table books (
  id integer primary key generated always as identity,
  author_id integer not null references authors (id),
  title text not null
);--> statement-breakpoint
create index books_author on books (author_id);--> statement-breakpoint
insert into authors (name) values ('Ursula K. Le Guin'), ('Italo Calvino');--> statement-breakpoint
insert into books (author_id, title) values (1, 'The Dispossessed'), (2, 'Invisible Cities');
