import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { rowSets } from 'tagfence/postgres';

export const authors = pgTable('authors', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  name: text().notNull(),
});

export const books = pgTable('books', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  authorId: integer('author_id').notNull(),
  title: text().notNull(),
});

/** What cached values may depend on: one row by its id, the books of one author. The migration has triggers for exactly these. */
export const authorRows = rowSets(authors, { byId: [authors.id] });
export const bookRows = rowSets(books, { byId: [books.id], byAuthor: [books.authorId] });
