#!lua flags=allow-oom,no-writes
-- depth: the numbers for metrics and status, read in one step so that they agree. A server that
-- cannot write, or is a replica, must still tell them.
-- KEYS[1] prefix. Reads counters workers events finished dead held suspended trouble deferred:<c>
--   leases:<c> ring:<c> ready:<c>:<queue>
-- Returns {counters as a flat list, workers seen in the last 3 s (the last one to go is forgotten by
-- nobody), events, finished, dead, held, suspended, relays in trouble, then
-- for each class: deferred, leased, age in ms of the oldest head among the first 100 ready queues
-- or -1}.

-- include oldest

local suspended = 0
for _, text in ipairs(call('HVALS', P .. 'suspended')) do
  if suspended_till(text) then suspended = suspended + 1 end
end

local troubled = 0
for _, hop in ipairs(call('HKEYS', P .. 'trouble')) do
  if not is_site(hop) then troubled = troubled + 1 end
end

local out = {
  call('HGETALL', P .. 'counters'), call('ZCOUNT', P .. 'workers', now - 3000, '+inf'), call('XLEN', P .. 'events'),
  call('LLEN', P .. 'finished'), call('ZCARD', P .. 'dead'), call('ZCARD', P .. 'held'),
  suspended, troubled,
}
for _, c in ipairs({ '0', '1', '2' }) do
  out[#out + 1] = call('ZCARD', P .. 'deferred:' .. c)
  out[#out + 1] = call('ZCARD', P .. 'leases:' .. c)
  out[#out + 1] = oldest(c)
end
return out
