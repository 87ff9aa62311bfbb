-- MINT, as a part of READ: lease and tokens of one moment; a tag without a token gets a fresh one.
-- KEYS[1]  the lease    KEYS[2..]  the tags      ARGV[1]  ttl of a token, ms      ARGV[2]  a fresh token
-- Reply    the lease, and what each tag holds now: a token, a fence, or nothing where it had none and none could be given
-- Atomic: of two who mint at once, both learn the same token. One fresh token will do for all tags: none of them ever had it before.
local held = {}
for from = 1, #KEYS, 1000 do -- Lua's stack holds only so many at once
  for i, text in ipairs(redis.call('MGET', unpack(KEYS, from, math.min(from + 999, #KEYS)))) do held[from + i - 1] = text end
end
for i = 2, #KEYS do
  -- A server that takes no writes still answers: then nothing can be stored under the tag, and that is all.
  if not held[i] and redis.pcall('SET', KEYS[i], ARGV[2], 'PX', ARGV[1]).ok then held[i] = ARGV[2] end
end
return held
