-- Shared by fence.lua, release.lua and apply.lua, put in front of them.
-- Appends what is being invalidated to the log that processes keep their own memory by. Ids are `<epoch>-<sequence>`, without gaps
-- while the log lives: a log that was lost and started again has another epoch, one that was trimmed too far lacks the record read last.
--   message: JSON, the tags; max: records kept, about; epoch: a random number, for a new log
--   known: the epoch that the caller has seen last, which saves the look at the log's end; '' or nil for none
--   Returns the id of the record.
local function log_append(key, message, max, epoch, known)
  if known and known ~= '' then
    local id = redis.pcall('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', max, known .. '-*', 'm', message)
    -- An error: the log has a higher epoch. A sequence from 0: it has a lower one, and now a record that no reader would miss. A log that
    -- begins again is missed by all.
    if type(id) == 'string' then
      if not string.match(id, '%-0$') then return id end
      redis.call('DEL', key)
      -- Above the known one: the caller's next record, and those of others that know it, then go the way of an error.
      epoch = string.format('%.0f', tonumber(known) + 1 + tonumber(epoch) % 2 ^ 40)
    end
  end
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local id = last and string.match(last[1], '^%d+') .. '-*' or epoch .. '-1'
  return redis.call('XADD', key, 'MAXLEN', '~', max, id, 'm', message)
end
