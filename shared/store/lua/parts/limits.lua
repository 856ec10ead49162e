-- How many times a hop is to be halved, by what `slow_down` wrote: once less for each minute since.
local SLOW_STEP_MS, SLOW_MOST_STEPS = 60000, 5
local function slowed_by(text)
  local till, steps, interval = string.match(text, '^([^|]*)|([^|]*)|([^|]*)$')
  local past = math.max(0, math.floor((now - tonumber(till)) / SLOW_STEP_MS))
  return tonumber(steps) - past, tonumber(interval), tonumber(till), till + (past + 1) * SLOW_STEP_MS
end

-- Whether replies have slowed it down, or its pause is one that no late answer ends.
local function is_slowed(key)
  local text = call('HGET', P .. 'shaping', '~' .. key)
  if not text then return false end
  local steps, _, till = slowed_by(text)
  return steps > 0 or now < till
end

local NINE = '^' .. string.rep('([^|]*)|', 8) .. '([^|]*)'

-- What an operator has set, unless it is over, and when that is; it is removed then.
local function still_set(text, field)
  local till = text and tonumber(string.match(text, '^%d+'))
  if not till or till == 0 then return text, nil end
  if till > now then return text, till end
  call('HDEL', P .. 'shaping', field)
end

-- What holds for a key now: what is configured, what an operator has set over it, and half of that for
-- each step that replies have slowed it down. nil: no limit. 0 is none. `changes` is when it is another
-- one by itself; nil: it stays.
local function limit_of(key)
  if key == 'mx:?' then return nil end
  local site = is_site(key)
  local found = call('HMGET', P .. 'shaping', key, '!' .. key, '~' .. key, site and 'mx:*' or key,
    site and '!mx:*' or '!' .. key)
  local own, slow = found[1] or found[4], found[3]
  local set, changes = still_set(found[2], '!' .. key)
  if not set and site then set, changes = still_set(found[5], '!mx:*') end
  if not own and not set and not slow then return nil end
  local n = { string.match((own or '') .. '||||||||', NINE) }
  if set then
    local said = { string.match(string.match(set, '|(.*)'), NINE) }
    for i = 1, 8 do
      if said[i] ~= '' then n[i] = said[i] end
    end
  end
  local function number(i, default) return tonumber(n[i]) or default end
  local l = { interval = number(1, 0), burst = number(2, 1.5), concurrency = number(3, 0),
    minute = number(4, 0), hour = number(5, 0), day = number(6, 0), connections = number(7, 0),
    connection_interval = number(8, 0), weight = number(9, 1) }
  local steps, interval, till, recovers = 0, 0, 0, 0
  if slow then steps, interval, till, recovers = slowed_by(slow) end
  if steps > 0 then
    changes = math.min(changes or recovers, recovers)
    local factor = 2 ^ steps
    l.interval = math.max(l.interval, interval) * factor
    if l.interval > 0 then l.burst = math.max(1, 100 / l.interval) + 0.5 end
    l.concurrency = math.ceil(l.concurrency / factor)
    l.connections = math.ceil(l.connections / factor)
  elseif slow and now >= till then
    call('HDEL', P .. 'shaping', '~' .. key)
  end
  l.changes = changes
  return l
end
