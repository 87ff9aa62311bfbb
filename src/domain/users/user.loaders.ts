/** Reads of users: by id, by handle, and by the subject of an identity provider. */
import { sql } from 'drizzle-orm';
import type { UserId } from '../../db/ids.js';
import type { Source } from '../../db/row-source.js';
import { ROW_TTL_MS, rowSource } from '../../db/row-source.js';
import { userRows, users } from './user.table.js';

export const userById = rowSource('User', users, (id: UserId) => userRows.byId(id));

export const userIdByHandle: Source<string, UserId | null> = {
  name: 'UserHandle',
  shape: 'id',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (handle) => userRows.byHandle(handle),
  load: async (handles, db) => {
    const statement = db.prepared('users_by_handle', (read, name) =>
      read
        .select({ id: users.id, handle: users.handle })
        .from(users)
        .where(sql`${users.handle} = any(${sql.placeholder('handles')}::text[])`)
        .prepare(name),
    );
    const found = new Map((await statement.execute({ handles })).map(({ id, handle }) => [handle, id]));
    return handles.map((handle) => found.get(handle) ?? null);
  },
};

export const userIdBySubject: Source<string, UserId | null> = {
  name: 'UserSubject',
  shape: 'id',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (subject) => userRows.bySubject(subject),
  load: async (subjects, db) => {
    const statement = db.prepared('user_ids_by_subject', (read, name) =>
      read
        .select({ id: users.id, subject: users.subject })
        .from(users)
        .where(sql`${users.subject} = any(${sql.placeholder('subjects')}::text[])`)
        .prepare(name),
    );
    const found = new Map((await statement.execute({ subjects })).map(({ id, subject }) => [subject, id]));
    return subjects.map((subject) => found.get(subject) ?? null);
  },
};
