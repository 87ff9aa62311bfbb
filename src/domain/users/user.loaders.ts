/** Reads of users: by id, by handle, by the subject of an identity provider, and by verified e-mail address. */
import type { UserId } from '../../db/ids.js';
import { idSource, rowSource } from '../../db/sources.js';
import { FOUND_BY_EMAIL } from './email.js';
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

/** Finds active users only, so that the address of a deactivated user is looked up like an unknown one. */
export const userIdByVerifiedEmail = idSource<UserId>('UserVerifiedEmail', {
  table: users,
  column: users.verifiedEmail,
  where: FOUND_BY_EMAIL,
  tags: userRows.byVerifiedEmail,
});
