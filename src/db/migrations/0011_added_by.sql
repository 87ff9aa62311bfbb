-- Who made a user a member: themselves, by creating the project; another; null for members from before this, of imports and by hand.
-- It bounds how much of a user's list of projects others can fill.
alter table project_members add column added_by uuid
  constraint project_members_added_by_users_id_fk references users (id) on delete set null;
