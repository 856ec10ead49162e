#!lua flags=allow-oom
-- renew: extend leases. A leg that was reaped and that nobody has claimed since is taken back.
-- KEYS[1] prefix. Reads and writes leg:<b> leases:<c> counters inflight
-- ARGV[4] lease ms, then leg id, fence, ...
-- Returns one 0 or 1 each: 0 means that the lease is lost.

local lease = tonumber(ARGV[4])
local answers = {}
for i = 5, #ARGV, 2 do
  local id, fence = ARGV[i], tonumber(ARGV[i + 1])
  local l = load_leg(id)
  local held = 0
  if l and l.fence == fence and not has(l.flags, LATE)
    and (l.state == LEASED or l.state == READY) then
    held = 1
    if l.state == READY then
      bump('r:' .. l.c, -1)
      fly(l.c, l.hop, 1)
      l.state = LEASED
      save_leg(id, l)
    end
    call('ZADD', P .. 'leases:' .. l.c, now + lease, id)
  end
  answers[#answers + 1] = held
end
commit()
return answers
