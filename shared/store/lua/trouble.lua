#!lua flags=allow-oom
-- trouble: a hop could not be used: it stands still for a while, twice as long each time, and is
-- then probed by one leg. Transactions that broke together count once. With a first time of 0 it goes
-- on, slowed down.
-- KEYS[1] prefix. Writes trouble recovering shaping wake:<c> counters; reads suspended
--   rate:<minute> began:<minute>
--   apps:<c>:<hop>
-- ARGV[4] hop, [5] the reason, [6] the first and [7] the longest time in ms, [8] '1' when it
-- objected to one envelope: where it has answered another lately, that is no reason to stand still,
--   [9] 'firm' when no answer to what is under way ends that, 'slow' when it is slowed down, too.
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

-- The milliseconds from leg to leg of what it has answered in this minute and the one before, each
-- from its first answer on, as it may have been idle until then; 0: it has answered nothing. Of one
-- that had little nobody knows what it can take: that is a leg a second.
local PACE_MS = 1000
local function pace()
  local minute, count, took = math.floor(now / 60000), 0, 0
  for m = minute - 1, minute do
    local first
    for c in pairs(CLASS) do
      local answers = call('HGET', P .. 'rate:' .. m, c .. hop)
      if answers then
        local at = tonumber(call('HGET', P .. 'began:' .. m, c .. hop) or m * 60000)
        count, first = count + tonumber(answers), math.min(first or at, at)
      end
    end
    if first then took = took + (m == minute and now or minute * 60000) - first end
  end
  return count > 0 and math.min(PACE_MS, math.max(took, 1000) / count) or 0
end

-- So many times half as much from `till` on; the pace that counts is the one before it was slowed
-- down at all. What is said together counts once.
local SLOW_TOGETHER_MS = 10000
local function slow_down(till, more)
  local field = '~' .. shared_part(hop)
  local text, steps, interval, before = call('HGET', P .. 'shaping', field), 0, 0, nil
  if text then steps, interval, before = slowed_by(text) end
  if till == now and before and now < before + SLOW_TOGETHER_MS then return end
  if steps <= 0 then steps, interval = 0, pace() end
  steps = math.min(SLOW_MOST_STEPS, steps + more)
  call('HSET', P .. 'shaping', field, string.format('%d|%d|%.17g', till, steps, interval))
  bump('slowed_down', more)
end

if tonumber(ARGV[6]) == 0 then
  if ARGV[9] == 'slow' then slow_down(now, 1) end
  commit()
  return 0
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
if ARGV[9] ~= '' then slow_down(t.till, ARGV[9] == 'slow' and 1 or 0) end
to_ring(hop, still_until(hop))
bump('relay_troubles', 1)
commit()
return wait
