ALTER TABLE "users" ADD COLUMN "subject" text;--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_subject" UNIQUE("subject");--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_subject_length" CHECK (length("users"."subject") between 1 and 255);--> statement-breakpoint
drop trigger if exists cache_insert on users;--> statement-breakpoint
create trigger cache_insert after insert on users referencing new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_insert;--> statement-breakpoint
drop trigger if exists cache_update on users;--> statement-breakpoint
create trigger cache_update after update on users referencing old table as old_rows new table as new_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_update;--> statement-breakpoint
drop trigger if exists cache_delete on users;--> statement-breakpoint
create trigger cache_delete after delete on users referencing old table as old_rows for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_delete;--> statement-breakpoint
drop trigger if exists cache_truncate on users;--> statement-breakpoint
create trigger cache_truncate after truncate on users for each statement execute function cache_name_rows('[{"columns":["id"]},{"columns":["handle"],"watches":["handle","id"]},{"columns":["subject"],"watches":["subject","id"]}]', '500');--> statement-breakpoint
alter table users enable always trigger cache_truncate;
