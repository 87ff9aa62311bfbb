-- Shared by release.lua and apply.lua, put in front of both.
-- Takes transaction ids out of a tag's fence. The last one out, and any tag that holds no fence, gets the fresh token:
-- a lost fence must still be followed by a token that never existed before.
--   xids: set of ids as text; token: 96 random bits; ttl_ms: of the token
local function release_tag(key, xids, token, ttl_ms)
  local held = redis.call('GET', key)
  if held and string.sub(held, 1, 1) == '!' then
    local left = {}
    for xid in string.gmatch(held, '%d+') do
      if not xids[xid] then left[#left + 1] = xid end
    end
    if #left > 0 then
      redis.call('SET', key, '!' .. table.concat(left, ',') .. ',')
      return
    end
  end
  redis.call('SET', key, token, 'PX', ttl_ms)
end
