-- Shared by fence.lua, release.lua and apply.lua, put in front of them.
-- Appends what is being invalidated to the log that processes keep their own memory by. Ids are `<epoch>-<sequence>`, without gaps
-- while the log lives: a log that was lost and started again has another epoch, one that was trimmed too far lacks the record read last.
--   message: JSON, the tags; max: records kept, about; epoch: a random number, for a new log
local function log_append(key, message, max, epoch)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local id = last and string.match(last[1], '^%d+') .. '-*' or epoch .. '-1'
  redis.call('XADD', key, 'MAXLEN', '~', max, id, 'm', message)
end
