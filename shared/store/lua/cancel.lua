#!lua flags=allow-oom
-- cancel: every leg of a message that is ready or waiting becomes final; ready ids stay behind
-- as tombstones that the claim drops.
-- KEYS[1] prefix. Reads and writes leg:<b> deferred:<c> open body:<b> finished events counters
-- ARGV[4] message id.
-- Returns 'c' changed, 'f' in flight, 't' too late, 'n' not known.

local m = ARGV[4]
local first = load_leg(m .. '\0\0')
if not first then return 'n' end
local changed, in_flight = false, false
for number = 0, first.legs - 1 do
  local id = m .. struct.pack('>H', number)
  local l = number == 0 and first or load_leg(id)
  if l and (l.state == READY or l.state == WAITING) then
    changed = true
    withdraw(id, l)
    restate(l, all_open_to(l, 'c'), OPEN)
    place(id, l, 0)
    save_leg(id, l)
    event('cancelled', id, '')
  elseif l and l.state == LEASED then
    in_flight = true
  end
end
commit()
if changed then return 'c' end
return in_flight and 'f' or 't'
