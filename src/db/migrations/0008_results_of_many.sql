-- What a mutation of many objects has answered, for its repetition with the same key.
alter table idempotency_keys add column results jsonb;
