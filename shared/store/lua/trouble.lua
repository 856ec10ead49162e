#!lua flags=allow-oom
-- trouble: a hop could not be used: it stands still for a while, twice as long each time, and is
-- then probed by one leg. Transactions that broke together count once.
-- KEYS[1] prefix. Writes trouble wake:<c> counters; reads suspended proved
-- ARGV[4] hop, [5] the reason, [6] the first and [7] the longest time in ms, [8] '1' when it
-- objected to one envelope: where it has taken another lately, that is no reason to stand still.
-- Returns for how many ms it stands still from now; 0 when it did already, or does not.

local PROVED_MS = 60000
local hop = ARGV[4]
if ARGV[8] == '1' and tonumber(call('HGET', P .. 'proved', hop) or '0') + PROVED_MS > now then
  bump('relay_troubles', 1)
  commit()
  return 0
end
local t = trouble_of(hop) or { till = 0, strikes = 0, since = now }
if t.till > now then return 0 end
local wait = math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ t.strikes)
t.strikes = math.min(255, t.strikes + 1)
t.till, t.probe, t.reason = now + wait, NOBODY, ARGV[5]
save_trouble(hop, t)
for c in pairs(CLASS) do call('ZADD', P .. 'wake:' .. c, 'XX', still_until(hop), hop) end
bump('relay_troubles', 1)
commit()
return wait
