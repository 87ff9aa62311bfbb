-- How far task events are trimmed: a cursor that has not seen a transaction below this id may have missed it.
CREATE TABLE "task_events_trim" (
	"one" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"below" "xid8" NOT NULL,
	CONSTRAINT "task_events_trim_one" CHECK ("task_events_trim"."one")
);
--> statement-breakpoint
insert into task_events_trim (below) values ('0');--> statement-breakpoint

-- Finds the changes in a viewer's projects since a cursor without reading events of other projects.
CREATE INDEX "task_events_project" ON "task_events" USING btree ("project_id","xid");--> statement-breakpoint
CREATE INDEX "task_events_from_project" ON "task_events" USING btree ("from_project_id","xid") WHERE "task_events"."from_project_id" is not null;
