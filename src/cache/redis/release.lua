-- RELEASE: the transactions are over; their tags get fresh tokens unless another writer still holds them.
-- KEYS[1]    sorted set of released ids          KEYS[2..]  the tags
-- ARGV[1]    the ids, comma separated            ARGV[2]    fresh token
-- ARGV[3]    ttl of the token, ms                ARGV[4]    'record': note the id as released, so that the relay
--                                                           bumps nothing again; 'resolve': leave that to the relay
-- ARGV[5]    channel                             ARGV[6]    message that names the tags
-- Reply      'released'
-- Atomic because the fence may be changed by others meanwhile. Idempotent: a second run costs a miss.
local xids = {}
for xid in string.gmatch(ARGV[1], '%d+') do
  xids[xid] = true
  if ARGV[4] == 'record' then redis.call('ZADD', KEYS[1], xid, xid) end
end
for i = 2, #KEYS do release_tag(KEYS[i], xids, ARGV[2], ARGV[3]) end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'released'
