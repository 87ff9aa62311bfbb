import { pgSchema, text, uuid } from 'drizzle-orm/pg-core';
import { rowSets } from 'tagfence/postgres';

export const notes = pgSchema('desk').table('notes', {
  id: uuid().primaryKey(),
  owner: text().notNull(),
  body: text().notNull(),
});
export const noteRows = rowSets(notes, { byId: [notes.id], byOwner: [notes.owner] });
