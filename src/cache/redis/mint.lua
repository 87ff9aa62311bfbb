-- MINT: gives a fresh token to each tag that has none.
-- KEYS     the tags           ARGV[1]  ttl of a token, ms        ARGV[2..]  a fresh token for each
-- Reply    for each what it held before: a token, a fence, or '' where the fresh token is its own now
-- Atomic for each tag by SET's NX and GET: of two who mint at once, both learn the same token.
local held = {}
for i, key in ipairs(KEYS) do held[i] = redis.call('SET', key, ARGV[i + 1], 'NX', 'GET', 'PX', ARGV[1]) or '' end
return held
