-- Shared by release.lua and apply.lua, put in front of both.
-- Takes transaction ids out of the fences of tags, each named once. The last one out removes the fence, and a token that is there is
-- removed: the next reader gives the tag one that never existed before. So it is, too, for a fence that was lost.
--   keys[from] to keys[to]: the tags; held: what they hold, by the number of the key; xids: set of ids as text
--   kept: the numbers of tags that get `token` in place of nothing, for entries that are stored with it; ttl_ms: of the token
--   Returns whether each tag held a fence with one of the ids.
local function release_tags(keys, from, to, held, xids, kept, token, ttl_ms)
  local found_all = true
  local gone = {}
  for index = from, to do
    local left, found = {}, false
    local text = held[index]
    if text and string.sub(text, 1, 1) == '!' then
      for xid in string.gmatch(text, '%d+') do
        if xids[xid] then found = true else left[#left + 1] = xid end
      end
    end
    found_all = found_all and found
    if #left > 0 then
      redis.call('SET', keys[index], '!' .. table.concat(left, ',') .. ',')
    elseif kept and kept[index] then
      redis.call('SET', keys[index], token, 'PX', ttl_ms)
    elseif text then
      gone[#gone + 1] = keys[index]
    end
  end
  for first = 1, #gone, 1000 do redis.call('DEL', unpack(gone, first, math.min(first + 999, #gone))) end
  return found_all
end
