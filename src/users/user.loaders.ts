/** How users are read: by id. */
import type { UserId } from '../db/ids.js';
import { rowSource } from '../graphql/row-source.js';
import { userRows, users } from './user.table.js';

export const userById = rowSource('User', users, (id: UserId) => userRows.byId(id));
