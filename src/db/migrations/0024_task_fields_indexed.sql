-- Outside of a transaction: writes go on while a million tasks are read. What an interrupted attempt left is built again.
drop index concurrently if exists tasks_by_other_assignee;--> statement-breakpoint
create index concurrently if not exists tasks_by_other_assignee on tasks using gin (other_assignee_ids) where other_assignee_ids <> '{}';--> statement-breakpoint
alter table tasks validate constraint tasks_dates;--> statement-breakpoint
alter table tasks validate constraint tasks_estimate;--> statement-breakpoint
alter table tasks validate constraint tasks_other_assignees;
