-- FENCE: marks tags as being written by a transaction that is about to commit, and says so in the log.
-- KEYS[1]  the log    KEYS[2]  notes of the fences that are set, by id    KEYS[3]  pos    KEYS[4]  the lease    KEYS[5..]  the tags
-- ARGV[1]  the transaction's id       ARGV[2]    record for the log; '' in groups that do not keep it
-- ARGV[3]  length of the log          ARGV[4]    epoch, should the log be new
-- ARGV[5]  the tags of this group, as JSON: should the writer die, the relay finds them in its note
-- ARGV[6]  the database of the transaction; '' when it has no name
-- ARGV[7]  tokens that the writer expects, as <index in KEYS>=<token>,…; '' for none    ARGV[8]  the log's epoch as the writer knows it, or ''
-- Reply    'fenced'; where each expected token was there {'exact', id of the record, lease or false}: both are of the moment of the fence;
--          or 'foreign': the keys belong to another database, and nothing was done.
--          Readers that know the transaction's database are served nothing from these keys, and its next lease waits until the transaction
--          is over (the relay's barrier).
-- Atomic because two writers may add their ids to one tag at once, and because a reader of the record must find the fences.
-- Idempotent. A fence never expires. It is removed when its transaction has ended, as its writer reports or Postgres says.
local held = held_by(KEYS, 3, #KEYS)
if is_foreign(held[3], ARGV[6]) then return 'foreign' end
local xid = ARGV[1]
local exact = ARGV[7] ~= ''
for index, token in string.gmatch(ARGV[7], '(%d+)=([^,]+)') do exact = exact and held[tonumber(index)] == token end
local fences = {}
for index = 5, #KEYS do
  local text = held[index]
  -- The comma in front says that no transaction has left this fence: release_tags writes none.
  if not text or string.sub(text, 1, 1) ~= '!' then text = '!,' end
  if not string.find(',' .. string.sub(text, 2), ',' .. xid .. ',', 1, true) then
    fences[#fences + 1] = KEYS[index]
    fences[#fences + 1] = text .. xid .. ','
  end
end
for from = 1, #fences, 2000 do redis.call('MSET', unpack(fences, from, math.min(from + 1999, #fences))) end
if #KEYS > 4 then redis.call('ZADD', KEYS[2], xid, xid .. '|' .. ARGV[5]) end
local record = ARGV[2] ~= '' and log_append(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[8])
return exact and { 'exact', record, held[4] } or 'fenced'
