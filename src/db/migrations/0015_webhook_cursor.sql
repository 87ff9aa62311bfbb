-- Webhooks are sent what is committed from now on.
insert into webhook_cursor (since) values (pg_current_snapshot()::text);
