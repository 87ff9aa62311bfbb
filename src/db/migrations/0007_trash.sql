CREATE TABLE "trashed_members" (
	"project_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"role" "project_role" NOT NULL,
	"added_by" uuid,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "trashed_members_project_id_user_id_pk" PRIMARY KEY("project_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "trashed_projects" (
	"id" uuid PRIMARY KEY NOT NULL,
	"deleted_by" uuid,
	"deleted_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "former_numbers" (
	"project_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"task_id" uuid NOT NULL,
	"until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "former_numbers_project_id_number_pk" PRIMARY KEY("project_id","number")
);
--> statement-breakpoint
CREATE TABLE "trashed_comments" (
	"id" uuid PRIMARY KEY NOT NULL,
	"task_id" uuid NOT NULL,
	"author_id" uuid NOT NULL,
	"comment" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "trashed_tasks" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"title" text NOT NULL,
	"source_url" text,
	"creator_id" uuid NOT NULL,
	"task" jsonb NOT NULL,
	"label_ids" uuid[] NOT NULL,
	"subtask_ids" uuid[] NOT NULL,
	"deleted_by" uuid,
	"deleted_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "trashed_members" ADD CONSTRAINT "trashed_members_project_id_trashed_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."trashed_projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_members" ADD CONSTRAINT "trashed_members_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_members" ADD CONSTRAINT "trashed_members_added_by_users_id_fk" FOREIGN KEY ("added_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_projects" ADD CONSTRAINT "trashed_projects_id_projects_id_fk" FOREIGN KEY ("id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_projects" ADD CONSTRAINT "trashed_projects_deleted_by_users_id_fk" FOREIGN KEY ("deleted_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "former_numbers" ADD CONSTRAINT "former_numbers_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_comments" ADD CONSTRAINT "trashed_comments_task_id_trashed_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."trashed_tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_comments" ADD CONSTRAINT "trashed_comments_author_id_users_id_fk" FOREIGN KEY ("author_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_tasks" ADD CONSTRAINT "trashed_tasks_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_tasks" ADD CONSTRAINT "trashed_tasks_creator_id_users_id_fk" FOREIGN KEY ("creator_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trashed_tasks" ADD CONSTRAINT "trashed_tasks_deleted_by_users_id_fk" FOREIGN KEY ("deleted_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "trashed_members_user" ON "trashed_members" USING btree ("user_id","deleted_at","project_id");--> statement-breakpoint
CREATE INDEX "trashed_projects_deleted_at" ON "trashed_projects" USING btree ("deleted_at");--> statement-breakpoint
CREATE INDEX "former_numbers_by_task" ON "former_numbers" USING btree ("task_id","until");--> statement-breakpoint
CREATE INDEX "trashed_comments_by_task" ON "trashed_comments" USING btree ("task_id","id");--> statement-breakpoint
CREATE INDEX "trashed_tasks_by_project" ON "trashed_tasks" USING btree ("project_id","deleted_at","id");--> statement-breakpoint
CREATE INDEX "trashed_tasks_deleted_at" ON "trashed_tasks" USING btree ("deleted_at");--> statement-breakpoint
CREATE INDEX "trashed_tasks_source" ON "trashed_tasks" USING btree ("project_id","source_url") WHERE "trashed_tasks"."source_url" is not null;--> statement-breakpoint

-- Keeps the number that a task loses by moving to another project.
create function keep_former_number() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  insert into former_numbers (project_id, number, task_id, until)
  values (old.project_id, old.number, old.id, clock_timestamp())
  on conflict (project_id, number) do update set task_id = excluded.task_id, until = excluded.until;
  return null;
end
$$;--> statement-breakpoint
create trigger keep_former_number after update of project_id, number on tasks for each row
when ((old.project_id, old.number) is distinct from (new.project_id, new.number)) execute function keep_former_number();--> statement-breakpoint

-- Deletes the former numbers of a task that is neither in use nor in the trash.
create function drop_former_numbers() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
  delete from former_numbers
  where task_id = old.id
    and not exists (select from tasks where id = old.id)
    and not exists (select from trashed_tasks where id = old.id);
  return null;
end
$$;--> statement-breakpoint
create trigger drop_former_numbers after delete on tasks for each row execute function drop_former_numbers();--> statement-breakpoint
create trigger drop_former_numbers after delete on trashed_tasks for each row execute function drop_former_numbers();
