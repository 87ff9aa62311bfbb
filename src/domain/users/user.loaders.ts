/** How users are read: by id, by handle, and by what an identity provider calls them. */
import type { UserId } from '../../db/ids.js';
import { idSource, rowSource } from '../../db/sources.js';
import { userRows, users } from './user.table.js';

export const userById = rowSource('User', users, (id: UserId) => userRows.byId(id));

export const userIdByHandle = idSource<UserId>('UserHandle', {
  table: users,
  column: users.handle,
  tags: userRows.byHandle,
});

export const userIdBySubject = idSource<UserId>('UserSubject', {
  table: users,
  column: users.subject,
  tags: userRows.bySubject,
});
