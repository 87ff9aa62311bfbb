-- APPLY: brings the outbox into this data set, moves the position, and grants or extends the trust lease.
-- KEYS[1..4]  pos, rel, ok and bar of this run    KEYS[5..]  the tags of all rows
-- ARGV[1] run id of the server that gave HEAD    ARGV[2] the position it gave, '' for none
-- ARGV[3] new position: '<xid>:<purge>'          ARGV[4] our own transaction id for the barrier, '' for none
-- ARGV[5] the server's clock at HEAD, ms         ARGV[6] L, ms
-- ARGV[7] 'grant' or 'hold'                      ARGV[8] generation for a new lease
-- ARGV[9] ttl of tokens, ms                      ARGV[10] channel
-- ARGV[11] rows: [[xid, token, message, [index of each tag in KEYS]]]
-- Reply   'applied'; 'moved' (another server), 'raced' (another position), 'late' (the lease it would grant is over)
-- Atomic because position and tokens must move in one step of the replication stream: a replica, an AOF and an RDB
-- then hold a prefix in which all rows below the position are applied.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run ~= ARGV[1] then return 'moved' end
local position = redis.call('GET', KEYS[1]) or ''
if not string.match(position, '^%d+:.') then position = '' end -- damaged: as good as none
if position ~= ARGV[2] then return 'raced' end
local time = redis.call('TIME')
local until_ms = tonumber(ARGV[5]) + tonumber(ARGV[6])
if tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) >= until_ms then return 'late' end

for _, row in ipairs(cjson.decode(ARGV[11])) do
  local xid = row[1]
  if not redis.call('ZSCORE', KEYS[2], xid) then
    for _, index in ipairs(row[4]) do release_tag(KEYS[index], { [xid] = true }, row[2], ARGV[9]) end
    redis.call('ZADD', KEYS[2], xid, xid)
    redis.call('PUBLISH', ARGV[10], row[3])
  end
end
local horizon, purge = string.match(ARGV[3], '^(%d+):(.*)$')
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. horizon)

if ARGV[7] == 'grant' then
  -- The lease is this server's alone: a replica that is promoted must not find it in its data.
  redis.set_repl(redis.REPL_NONE)
  local deadline = string.format('%.0f', until_ms)
  local lease = redis.call('GET', KEYS[3])
  if lease then
    redis.call('SET', KEYS[3], string.match(lease, '^[^:]*') .. ':' .. purge, 'PXAT', deadline)
  else
    local barrier = redis.call('GET', KEYS[4])
    if not barrier and ARGV[4] ~= '' then
      barrier = ARGV[4]
      redis.call('SET', KEYS[4], barrier, 'PXAT', deadline)
    end
    -- Whoever could have fenced on a server that is lost had an id below the barrier: wait until all of them are over.
    if barrier and tonumber(horizon) >= tonumber(barrier) then
      redis.call('SET', KEYS[3], ARGV[8] .. ':' .. purge, 'PXAT', deadline)
      redis.call('DEL', KEYS[4])
    end
  end
  redis.set_repl(redis.REPL_ALL)
end
return 'applied'
