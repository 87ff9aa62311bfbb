-- The user who added a member; the member itself for the project's creator. Null for members that were imported, added by
-- hand, or added before this column existed. Limits how many projects others can add a user to.
alter table project_members add column added_by uuid
  constraint project_members_added_by_users_id_fk references users (id) on delete set null;
