/** How users are read: by id, as entries that everyone shares. */
import { rowsById, shapeOf } from '../db/by-id.js';
import type { UserId } from '../db/ids.js';
import type { Source } from '../graphql/loads.js';
import { HOUR } from '../time.js';
import { type UserRow, userRows, users } from './user.table.js';

export const userById: Source<UserId, UserRow | null> = {
  name: 'User',
  shape: shapeOf(users),
  ttlMs: 12 * HOUR,
  scope: 'public',
  tags: (id) => userRows.byId(id),
  load: (ids, db) => rowsById(db, users, ids),
};
