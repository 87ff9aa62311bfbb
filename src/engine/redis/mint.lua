-- MINT, as a part of READ: the values of the names; tags without a token get a fresh one.
-- KEYS     the lease, entries, tags        ARGV[1]  how many names come before the tags
-- ARGV[2]  ttl of a token, ms              ARGV[3]  a fresh token
-- Reply    for each name its text; for a tag also nothing, where it had none and none could be given
-- Atomic: of two who mint at once, both learn the same token. One fresh token will do for all tags: none of them ever had it before.
local held = held_by(KEYS, 1, #KEYS)
for i = ARGV[1] + 1, #KEYS do
  -- A server that takes no writes still answers: then nothing can be stored under the tag, and that is all.
  if not held[i] and redis.pcall('SET', KEYS[i], ARGV[3], 'PX', ARGV[2]).ok then held[i] = ARGV[3] end
end
return held
