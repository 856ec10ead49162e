#!lua flags=allow-oom
-- trouble: a hop could not be used: it stands still for a while, twice as long each time, and is
-- then probed by one leg. Transactions that broke together count once.
-- KEYS[1] prefix. Writes trouble recovering limits wake:<c> counters; reads suspended rate:<minute>
--   apps:<c>:<hop>
-- ARGV[4] hop, [5] the reason, [6] the first and [7] the longest time in ms, [8] '1' when it
-- objected to one envelope: where it has answered another lately, that is no reason to stand still,
--   [9] '1' when it said that it gets too much: it is slowed down, too.
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

-- include limits

-- The milliseconds from leg to leg of what it has answered over the last minute; 0: it has not.
local function pace()
  local minute, count = math.floor(now / 60000), 0
  local share = 1 - now % 60000 / 60000
  for c in pairs(CLASS) do
    count = count + tonumber(call('HGET', P .. 'rate:' .. minute, c .. hop) or '0')
      + share * tonumber(call('HGET', P .. 'rate:' .. (minute - 1), c .. hop) or '0')
  end
  return count > 0 and 60000 / count or 0
end

-- Half as much as before from `till` on; the pace that counts is the one before it was slowed down.
local function slow_down(till)
  local field = '~' .. shared_part(hop)
  local text, steps, interval = call('HGET', P .. 'limits', field), 0, 0
  if text then steps, interval = slowed_by(text) end
  if steps <= 0 then steps, interval = 0, pace() end
  steps = math.min(SLOW_MOST_STEPS, steps + 1)
  call('HSET', P .. 'limits', field, string.format('%d|%d|%.17g', till, steps, interval))
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
if ARGV[9] == '1' then slow_down(t.till) end
to_ring(hop, still_until(hop))
bump('relay_troubles', 1)
commit()
return wait
