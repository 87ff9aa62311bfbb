-- RELEASE: the transactions are over; their tags get fresh tokens unless another writer still holds them.
-- KEYS[1]    sorted set of released ids          KEYS[2]    the log          KEYS[3]    notes of fences
-- KEYS[4]    pos                                 KEYS[5..]  the tags
-- ARGV[1]    the ids, comma separated            ARGV[2]    fresh token
-- ARGV[3]    ttl of the token, ms                ARGV[4]    'record': note the ids as released, so that the relay
--                                                           bumps nothing again; 'resolve': leave that to the relay;
--                                                           'over': the same, for all tags that this group's fence noted
-- ARGV[5]    channel, '' for none                ARGV[6]    message that names the tags
-- ARGV[7]    record for the log; '' in groups that do not keep it
-- ARGV[8]    length of the log                   ARGV[9]    epoch, should the log be new
-- ARGV[10]   'always': log it; 'if lost': where the reply is 'lost'; 'never'
-- ARGV[11]   the database of the ids; '' when it has no name
-- Reply   'released'; in mode 'record' 'lost' where the fence is not on each of the tags, or its note is not there: evicted, or removed by
--         others. Then a reader may have kept in memory, after the record of the fence, what the transaction made old. 'foreign': the keys
--         belong to another database, where the ids mean other transactions. Nothing was done.
-- Atomic because the fence may be changed by others meanwhile. Idempotent: a second run costs a miss.
if is_foreign(redis.call('GET', KEYS[4]), ARGV[11]) then return 'foreign' end
local xids = {}
local lost = false
for xid in string.gmatch(ARGV[1], '%d+') do
  xids[xid] = true
  local notes = ARGV[4] ~= 'resolve' and redis.call('ZREMRANGEBYSCORE', KEYS[3], xid, xid)
  if ARGV[4] == 'record' then
    redis.call('ZADD', KEYS[1], xid, xid)
    lost = notes == 0 and #KEYS > 4 -- a group without tags has no note
  end
end
local tags = {}
for i = 5, #KEYS do tags[i - 4] = KEYS[i] end
local found = release_tags(tags, xids, ARGV[2], ARGV[3])
lost = lost or (ARGV[4] == 'record' and not found)
if ARGV[7] ~= '' and (ARGV[10] == 'always' or (ARGV[10] == 'if lost' and lost)) then
  log_append(KEYS[2], ARGV[7], ARGV[8], ARGV[9])
end
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return lost and 'lost' or 'released'
