-- FILL: stores entries, each with its time to live.
-- KEYS     the entries        ARGV     for each its text, and its ttl in ms
-- Reply    'filled'
-- Nothing here needs to be atomic: it is one command for the client to make, send and await instead of one for each entry.
for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i]) end
return 'filled'
