-- Triggers call these for rows of tables that are empty at first, or after a trim. A plan that a session made then would read the whole table until
-- Postgres analyzes it.
alter function write_task_history set enable_seqscan = off;--> statement-breakpoint
alter function lock_task_documents set enable_seqscan = off;--> statement-breakpoint
alter function write_task_documents set enable_seqscan = off;--> statement-breakpoint
alter function comment_words set enable_seqscan = off;--> statement-breakpoint
alter function add_comment_words set enable_seqscan = off;
