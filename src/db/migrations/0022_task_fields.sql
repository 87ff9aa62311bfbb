ALTER TABLE "tasks" ADD COLUMN "start_date" date;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "estimate" integer;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "other_assignee_ids" uuid[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_dates" CHECK ("tasks"."start_date" <= "tasks"."due_date") NOT VALID;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_estimate" CHECK ("tasks"."estimate" between 0 and 1000) NOT VALID;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_other_assignees" CHECK (cardinality("tasks"."other_assignee_ids") <= 9) NOT VALID;
