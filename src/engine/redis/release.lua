-- RELEASE: the transactions are over; their tags hold nothing unless another writer still holds them.
-- KEYS[1]    sorted set of released ids          KEYS[2]    the log          KEYS[3]    notes of fences
-- KEYS[4]    pos                                 KEYS[5..]  the tags, then the entries to store
-- ARGV[1]    the ids, comma separated            ARGV[2]    fresh token for the tags of the entries that are stored
-- ARGV[3]    ttl of the token, ms                ARGV[4]    'record': note the ids as released, so that the relay
--                                                           bumps nothing again; 'resolve': leave that to the relay;
--                                                           'over': the same, for all tags that this group's fence noted
-- ARGV[5]    channel, '' for none                ARGV[6]    message that names the tags
-- ARGV[7]    record for the log; '' in groups that do not keep it
-- ARGV[8]    length of the log                   ARGV[9]    epoch, should the log be new
-- ARGV[10]   'always': log it; 'if lost': where the reply is 'lost'; 'never'
-- ARGV[11]   the database of the ids; '' when it has no name
-- ARGV[12]   entries that the transaction stores: [[ttl in ms, [index in KEYS of each tag that it fenced]]]; '' for none. Each is stored
--            only if those tags hold the transaction's fence alone, and no other was released while it stood
-- ARGV[13..] their texts
-- Reply   'released'; in mode 'record' 'lost' where the fence is not on each of the tags, or its note is not there: evicted, or removed by
--         others. Then a reader may have kept in memory, after the record of the fence, what the transaction made old. 'foreign': the keys
--         belong to another database, where the ids mean other transactions. Nothing was done.
-- Atomic because the fence may be changed by others meanwhile. Idempotent: a second run costs a miss.
local fills = ARGV[12] == '' and {} or cjson.decode(ARGV[12])
local last_tag = #KEYS - #fills
local held = held_by(KEYS, 4, last_tag)
if is_foreign(held[4], ARGV[11]) then return 'foreign' end
local xids = {}
local lost = false
for xid in string.gmatch(ARGV[1], '%d+') do
  xids[xid] = true
  local notes = ARGV[4] ~= 'resolve' and redis.call('ZREMRANGEBYSCORE', KEYS[3], xid, xid)
  if ARGV[4] == 'record' then lost = notes == 0 and last_tag > 4 end -- a group without tags has no note
end
local own_fence = '!,' .. ARGV[1] .. ','
local kept = {}
for _, fill in ipairs(fills) do
  for _, index in ipairs(fill[2]) do
    if held[index] ~= own_fence then fill.refused = true end
  end
  -- Nowhere else: the writer's memory may name this token since COMMIT, and it must not be found where another write came in between.
  for _, index in ipairs(fill[2]) do kept[index] = kept[index] or not fill.refused end
end
local found = release_tags(KEYS, 5, last_tag, held, xids, kept, ARGV[2], ARGV[3])
if ARGV[4] == 'record' then
  lost = lost or not found
  -- Only now: should a command before it be refused, the relay still brings the tags.
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[1])
end
for i, fill in ipairs(fills) do
  if not (lost or fill.refused) then redis.call('SET', KEYS[last_tag + i], ARGV[12 + i], 'PX', fill[1]) end
end
if ARGV[7] ~= '' and (ARGV[10] == 'always' or (ARGV[10] == 'if lost' and lost)) then
  log_append(KEYS[2], ARGV[7], ARGV[8], ARGV[9])
end
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return lost and 'lost' or 'released'
