-- RELEASE: the transactions are over; their tags get fresh tokens unless another writer still holds them.
-- KEYS[1]    sorted set of released ids          KEYS[2]    the log          KEYS[3]    notes of fences
-- KEYS[4]    pos                                 KEYS[5..]  the tags
-- ARGV[1]    the ids, comma separated            ARGV[2]    fresh token
-- ARGV[3]    ttl of the token, ms                ARGV[4]    'record': note the ids as released, so that the relay
--                                                           bumps nothing again; 'resolve': leave that to the relay;
--                                                           'over': the same, for all tags that this group's fence noted
-- ARGV[5]    channel, '' for none                ARGV[6]    message that names the tags
-- ARGV[7]    record for the log, of a write that no fence announced there; '' for none
-- ARGV[8]    length of the log                   ARGV[9]    epoch, should the log be new
-- ARGV[10]   the database of the ids; '' when it has no name
-- Reply   'released', or 'foreign': the keys belong to another database, where the ids mean other transactions. Nothing was done.
-- Atomic because the fence may be changed by others meanwhile. Idempotent: a second run costs a miss.
if is_foreign(redis.call('GET', KEYS[4]), ARGV[10]) then return 'foreign' end
local xids = {}
for xid in string.gmatch(ARGV[1], '%d+') do
  xids[xid] = true
  if ARGV[4] ~= 'resolve' then redis.call('ZREMRANGEBYSCORE', KEYS[3], xid, xid) end
  if ARGV[4] == 'record' then redis.call('ZADD', KEYS[1], xid, xid) end
end
local tags = {}
for i = 5, #KEYS do tags[i - 4] = KEYS[i] end
release_tags(tags, xids, ARGV[2], ARGV[3])
if ARGV[7] ~= '' then log_append(KEYS[2], ARGV[7], ARGV[8], ARGV[9]) end
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 'released'
