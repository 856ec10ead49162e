#!lua flags=allow-oom
-- flush: deferred legs of a destination are due now, those accepted first before the others.
-- KEYS[1] prefix. Reads and writes waiting[:<c>:<hop>] deferred:<c> leg:<b> ready:<c>:<queue>
--   ring:<c> counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] class, [5] hop, [6] most legs.
-- Returns how many.

local c, hop = ARGV[4], ARGV[5]
local set = P .. 'waiting:' .. c .. ':' .. hop
local ids = call('ZRANGE', set, 0, tonumber(ARGV[6]) - 1)
local moved = 0
for i = 1, #ids do
  local l = load_leg(ids[i])
  if l and l.state == WAITING and l.hop == hop then
    withdraw(ids[i], l)
    l.state, l.due = READY, 0
    save_leg(ids[i], l)
    push_ready(ids[i], l)
    moved = moved + 1
  elseif call('ZREM', set, ids[i]) == 1 then
    waits[c .. hop] = (waits[c .. hop] or 0) - 1
  end
end
commit()
return moved
