ALTER TABLE "tasks" ADD COLUMN "sort_order" text;
