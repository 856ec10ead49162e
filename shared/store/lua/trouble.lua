#!lua flags=allow-oom
-- trouble: a hop could not be used: it stands still for a while, twice as long each time, and is
-- then probed by one leg. Transactions that broke together count once.
-- KEYS[1] prefix. Writes trouble recovering wake:<c> counters; reads suspended rate:<minute>
--   apps:<c>:<hop>
-- ARGV[4] hop, [5] the reason, [6] the first and [7] the longest time in ms, [8] '1' when it
-- objected to one envelope: where it has answered another lately, that is no reason to stand still.
-- Returns for how many ms it stands still from now; 0 when it did already, or does not.

local hop = ARGV[4]

-- In this minute or the one before.
local function has_answered()
  local minute = math.floor(now / 60000)
  for _, m in ipairs({ minute, minute - 1 }) do
    for c in pairs(CLASS) do
      if call('HEXISTS', P .. 'rate:' .. m, c .. hop) == 1 then return true end
    end
  end
  return false
end

if ARGV[8] == '1' and has_answered() then
  bump('relay_troubles', 1)
  commit()
  return 0
end
local _, before = recovery_of(hop)
local t = trouble_of(hop) or { till = 0, strikes = before or 0, since = now }
if t.till > now then return 0 end
call('HDEL', P .. 'recovering', hop)
local wait = math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ t.strikes)
t.strikes = math.min(255, t.strikes + 1)
t.till, t.probe, t.reason = now + wait, NOBODY, ARGV[5]
save_trouble(hop, t)
to_ring(hop, still_until(hop))
bump('relay_troubles', 1)
commit()
return wait
