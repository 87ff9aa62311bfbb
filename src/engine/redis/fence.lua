-- FENCE: marks tags as being written by a transaction that is about to commit, and says so in the log.
-- KEYS[1]  the log    KEYS[2]  notes of the fences that are set, by id    KEYS[3]  pos    KEYS[4..]  the tags
-- ARGV[1]  the transaction's id       ARGV[2]    record for the log; '' in groups that do not keep it
-- ARGV[3]  length of the log          ARGV[4]    epoch, should the log be new
-- ARGV[5]  the tags of this group, as JSON: should the writer die, the relay finds them in its note
-- ARGV[6]  the database of the transaction; '' when it has no name
-- Reply    'fenced', or 'foreign': the keys belong to another database, and nothing was done. Readers that know the transaction's database
--          are served nothing from these keys, and its next lease waits until the transaction is over (the relay's barrier).
-- Atomic because two writers may add their ids to one tag at once, and because a reader of the record must find the fences.
-- Idempotent. A fence never expires. It is removed when its transaction has ended, as its writer reports or Postgres says.
if is_foreign(redis.call('GET', KEYS[3]), ARGV[6]) then return 'foreign' end
local xid = ARGV[1]
for from = 4, #KEYS, 1000 do -- Lua's stack holds only so many at once
  local fences = {}
  for i, held in ipairs(redis.call('MGET', unpack(KEYS, from, math.min(from + 999, #KEYS)))) do
    if not held or string.sub(held, 1, 1) ~= '!' then held = '!' end
    if not string.find(',' .. string.sub(held, 2), ',' .. xid .. ',', 1, true) then
      fences[#fences + 1] = KEYS[from + i - 1]
      fences[#fences + 1] = held .. xid .. ','
    end
  end
  if #fences > 0 then redis.call('MSET', unpack(fences)) end
end
if #KEYS > 3 then redis.call('ZADD', KEYS[2], xid, xid .. '|' .. ARGV[5]) end
if ARGV[2] ~= '' then log_append(KEYS[1], ARGV[2], ARGV[3], ARGV[4]) end
return 'fenced'
