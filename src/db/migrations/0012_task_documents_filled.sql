-- Outside of a transaction: no lock is held for the whole time, which is some minutes for a million tasks.
call fill_task_documents();--> statement-breakpoint
-- Servers of the build before search in this index. Until they are replaced their searches may exceed their time limit.
drop index concurrently if exists tasks_search;
