CREATE TYPE "public"."task_relation_type" AS ENUM('BLOCKS', 'RELATES_TO', 'DUPLICATE_OF');--> statement-breakpoint
CREATE TABLE "task_relations" (
	"task_id" uuid NOT NULL,
	"type" "task_relation_type" NOT NULL,
	"related_task_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"related_project_id" uuid NOT NULL,
	"blocked_project_id" uuid GENERATED ALWAYS AS (case when type = 'BLOCKS' then related_project_id end) STORED,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "task_relations_task_id_type_related_task_id_pk" PRIMARY KEY("task_id","type","related_task_id"),
	CONSTRAINT "task_relations_other" CHECK ("task_relations"."task_id" <> "task_relations"."related_task_id"),
	CONSTRAINT "task_relations_once" CHECK ("task_relations"."type" <> 'RELATES_TO' or "task_relations"."task_id" < "task_relations"."related_task_id")
);
--> statement-breakpoint
ALTER TABLE "trashed_tasks" ADD COLUMN "relations" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "task_relations" ADD CONSTRAINT "task_relations_task" FOREIGN KEY ("project_id","task_id") REFERENCES "public"."tasks"("project_id","id") ON DELETE cascade ON UPDATE cascade;--> statement-breakpoint
ALTER TABLE "task_relations" ADD CONSTRAINT "task_relations_related_task" FOREIGN KEY ("related_project_id","related_task_id") REFERENCES "public"."tasks"("project_id","id") ON DELETE cascade ON UPDATE cascade;--> statement-breakpoint
CREATE INDEX "task_relations_related" ON "task_relations" USING btree ("related_task_id","type","task_id");--> statement-breakpoint
CREATE INDEX "task_relations_blocked" ON "task_relations" USING btree ("blocked_project_id","project_id");--> statement-breakpoint
CREATE UNIQUE INDEX "task_relations_duplicate" ON "task_relations" USING btree ("task_id") WHERE type = 'DUPLICATE_OF';