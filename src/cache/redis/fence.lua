-- FENCE: marks tags as being written by a transaction that is about to commit.
-- KEYS     the tags
-- ARGV[1]  the transaction's id
-- Reply    'fenced'
-- Atomic because two writers may add their ids to one tag at once. Idempotent. A fence never expires: only the end of its
-- transaction, told by its writer or found out from Postgres, takes it away.
local xid = ARGV[1]
for _, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if not held or string.sub(held, 1, 1) ~= '!' then
    redis.call('SET', key, '!' .. xid .. ',')
  elseif not string.find(',' .. string.sub(held, 2), ',' .. xid .. ',', 1, true) then
    redis.call('SET', key, held .. xid .. ',')
  end
end
return 'fenced'
