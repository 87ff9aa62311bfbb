-- APPLY: brings the outbox into this data set, moves the position, and grants or extends the lease.
-- KEYS[1..5]  pos, rel, ok and bar of this run, the log    KEYS[6..]  the tags of all rows
-- ARGV[1] run id of the server that gave HEAD, '' where scripts cannot know it    ARGV[2] the position it gave, '' for none
-- ARGV[3] new position: '<xid>:<purge>'          ARGV[4] our own transaction id for the barrier, '' for none
-- ARGV[5] the server's clock at HEAD, ms         ARGV[6] L, ms
-- ARGV[7] 'grant', 'hold' or 'force'             ARGV[8] generation for a new lease
-- ARGV[9] channel, '' for none
-- ARGV[10] rows: [[xid, message, record for the log or '', [index of each tag in KEYS], 1 to log it in any case]]
-- ARGV[11] length of the log, '' in groups that do not keep it    ARGV[12] epoch, should the log be new
-- ARGV[13] of the log group in a Cluster: the generations of the other groups' leases, by group, comma separated; '' for none
-- Reply   {result, generation of the lease granted or renewed or '', ids of rows with tags here that were not released here before}
--         result: 'applied'; 'moved' (another server), 'raced' (another position, or the lease of another database), 'late' (the lease
--         it would grant is over)
-- Atomic because position and tokens must move in one step of the replication stream: a replica, an AOF and an RDB
-- then hold a prefix in which all rows below the position are applied.
if ARGV[1] ~= '' and string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= ARGV[1] then return { 'moved' } end
local position = redis.call('GET', KEYS[1]) or ''
if not string.match(position, '^%d+:.') then position = '' end -- damaged: as good as none
if position ~= ARGV[2] then return { 'raced' } end
local time = redis.call('TIME')
local until_ms = tonumber(ARGV[5]) + tonumber(ARGV[6])
if tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) >= until_ms then return { 'late' } end

local horizon, purge = string.match(ARGV[3], '^(%d+):(.*)$')
local lease = redis.call('GET', KEYS[3])
-- Under a lease of another database its readers are served. From here on its writers' fences are refused, so they would be served stale.
if lease and owner_of(lease) ~= owner_of(ARGV[3]) then return { 'raced' } end
-- A full server takes a DEL, and then every command of the script that did it: the lease would go on while fences are refused.
redis.call('SET', KEYS[1], ARGV[2], 'XX')
if string.match(position, ':(.*)$') ~= purge then
  -- Another purge may mean another history of Postgres: it assigns the released ids again, and a barrier of the old one proves nothing.
  redis.call('DEL', KEYS[2], KEYS[4])
  if not lease then redis.call('DEL', KEYS[3]) end
end
local logs = ARGV[11] ~= ''
local unreleased = {}
for _, row in ipairs(cjson.decode(ARGV[10])) do
  local xid = row[1]
  local released = redis.call('ZSCORE', KEYS[2], xid)
  if not released then
    if #row[4] > 0 then unreleased[#unreleased + 1] = xid end
    local tags = {}
    for i, index in ipairs(row[4]) do tags[i] = KEYS[index] end
    release_tags(tags, 1, #tags, held_by(tags, 1, #tags), { [xid] = true })
    redis.call('ZADD', KEYS[2], xid, xid)
    if ARGV[9] ~= '' then redis.call('PUBLISH', ARGV[9], row[2]) end
  end
  -- What another group had not released, a reader may have kept in memory since the record of its fence.
  if logs and (not released or row[5] == 1) then log_append(KEYS[5], row[3], ARGV[11], ARGV[12]) end
end
-- Without a log no process could keep anything in memory.
if logs and redis.call('EXISTS', KEYS[5]) == 0 then log_append(KEYS[5], '[]', ARGV[11], ARGV[12]) end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. horizon)

local generation = ''
if ARGV[7] ~= 'hold' then
  -- The lease is this server's alone: a replica that is promoted must not find it in its data.
  local function replicate(what) if redis.set_repl then redis.set_repl(what) end end
  replicate(redis.REPL_NONE)
  local deadline = string.format('%.0f', until_ms)
  local text = ':' .. purge .. (ARGV[13] == '' and '' or ':' .. ARGV[13])
  if lease then
    generation = string.match(lease, '^[^:]*')
    redis.call('SET', KEYS[3], generation .. text, 'PXAT', deadline)
  else
    local barrier = redis.call('GET', KEYS[4])
    if not barrier and ARGV[4] ~= '' then
      barrier = ARGV[4]
      redis.call('SET', KEYS[4], barrier, 'PXAT', deadline)
    end
    -- Every transaction that could have fenced on a lost server has an id below the barrier: wait until all of them are over.
    if ARGV[7] == 'force' or (barrier and tonumber(horizon) >= tonumber(barrier)) then
      generation = ARGV[8]
      redis.call('SET', KEYS[3], generation .. text, 'PXAT', deadline)
      redis.call('DEL', KEYS[4])
    end
  end
  replicate(redis.REPL_ALL)
end
return { 'applied', generation, unreleased }
