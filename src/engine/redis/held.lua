-- Shared by the scripts that read many keys, put in front of them.
-- What keys[from] to keys[to] hold, by the number of the key; false for nothing.
local function held_by(keys, from, to)
  local held = {}
  for first = from, to, 1000 do -- Lua's stack holds only so many at once
    for i, text in ipairs(redis.call('MGET', unpack(keys, first, math.min(first + 999, to)))) do held[first + i - 1] = text end
  end
  return held
end
