-- HEAD: what a tick has to know before it queries Postgres.
-- KEYS[1]  pos      KEYS[2]  rel      KEYS[3]  the lease's name up to the run id      KEYS[4]  notes of fences
-- ARGV[1]  the run id as the client knows it, for servers on which scripts may not call INFO
-- ARGV[2]  how many released ids      ARGV[3]  how many notes of fences
-- Reply    {seconds, microseconds, pos or '', ms the lease still runs (0: none), run id, released ids,
--           'checked' when APPLY can compare the run id, 'local' when it can keep the lease from being replicated, notes of fences
--           whose transactions are below pos, and so over (the fence itself may be gone already), why this server takes no writes now: '' when it does, or
--           while there is a lease, the replication id of this primary: '' on a replica, or where it cannot be read,
--           1 while samples are wanted: 0 or an error if not}
-- Without a lease it writes pos as it is: a barrier closes an outage only if this server took writes before the barrier's id was assigned.
-- Otherwise a writer with a later id could be refused its fence, commit without one, and the same tick could then grant a lease.
-- A script because all of it must come from one server, whose name the client may not know yet.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
local checked = run and 'checked' or 'unchecked'
run = run or ARGV[1]
local time = redis.call('TIME')
local lease = redis.call('GET', KEYS[3] .. ':' .. run)
local left = lease and redis.call('PTTL', KEYS[3] .. ':' .. run) or 0
local position = redis.call('GET', KEYS[1]) or ''
local below = string.match(position, '^(%d+):.')
local orphans = below and redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(' .. below, 'LIMIT', 0, ARGV[3]) or {}
local refusal = ''
if left == 0 then
  local wrote = redis.pcall('SET', KEYS[1], position, 'XX')
  refusal = type(wrote) == 'table' and wrote.err or ''
end
-- A server that was a replica in the meantime has another one, also under the same run id.
local replication = redis.pcall('INFO', 'replication')
replication = type(replication) == 'string' and replication or ''
local history = string.find(replication, 'role:master', 1, true) and string.match(replication, 'master_replid:(%x+)') or ''
-- Its name is no key of this call: a user without the right to it must get all the rest.
local wanted = redis.pcall('EXISTS', 'want' .. string.sub(KEYS[1], 4))
local released = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1)
return {
  time[1], time[2], position, left, run, released, checked, redis.set_repl and 'local' or 'replicated', orphans,
  refusal, history, type(wanted) == 'number' and wanted or 0,
}
