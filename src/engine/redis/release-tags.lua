-- Shared by release.lua and apply.lua, put in front of both.
-- Takes transaction ids out of the fences of tags, each named once. The last one out, and any tag that holds no fence, gets the fresh
-- token: a lost fence must still be followed by a token that never existed before.
--   xids: set of ids as text; token: 96 random bits; ttl_ms: of the token
--   Returns whether each tag held a fence with one of the ids.
local function release_tags(keys, xids, token, ttl_ms)
  local found_all = true
  for from = 1, #keys, 1000 do -- Lua's stack holds only so many at once
    for i, held in ipairs(redis.call('MGET', unpack(keys, from, math.min(from + 999, #keys)))) do
      local key = keys[from + i - 1]
      local left, found = {}, false
      if held and string.sub(held, 1, 1) == '!' then
        for xid in string.gmatch(held, '%d+') do
          if xids[xid] then found = true else left[#left + 1] = xid end
        end
      end
      found_all = found_all and found
      if #left > 0 then
        redis.call('SET', key, '!' .. table.concat(left, ',') .. ',')
      else
        redis.call('SET', key, token, 'PX', ttl_ms)
      end
    end
  end
  return found_all
end
