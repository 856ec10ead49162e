-- What nobody asks for any more goes, some of it in each run of the pump: sites come and go by the
-- hundred thousands.
local SWEPT, OVER_MS, DAY_MS, SITE_DAYS = 50, 60000, 86400000, 30

-- Limits that are over, and those of sites that nobody has sent anything to for longer than a message
-- waits: they come with the next one.
local function is_over(field, text)
  local mark = sub(field, 1, 1)
  if mark == '~' then
    local steps, _, till = slowed_by(text)
    return steps <= 0 and now > till + OVER_MS
  end
  if mark == '!' then
    local till = tonumber(string.match(text, '^%d+'))
    return till > 0 and now > till + OVER_MS
  end
  local day = string.match(text, '|d(%d+)$')
  return day and now > (tonumber(day) + SITE_DAYS) * DAY_MS
end

local function sweep()
  local flat = call('HRANDFIELD', P .. 'shaping', SWEPT, 'WITHVALUES')
  for i = 1, #flat, 2 do
    if is_over(flat[i], flat[i + 1]) then call('HDEL', P .. 'shaping', flat[i]) end
  end
  flat = call('HRANDFIELD', P .. 'gcra', SWEPT, 'WITHVALUES')
  for i = 1, #flat, 2 do  -- A time that has come is as good as none.
    if tonumber(flat[i + 1]) <= now then call('HDEL', P .. 'gcra', flat[i]) end
  end
  flat = call('HRANDFIELD', P .. 'turns', SWEPT, 'WITHVALUES')
  for i = 1, #flat, 2 do
    if now > tonumber(flat[i + 1]) + DAY_MS then call('HDEL', P .. 'turns', flat[i]) end
  end
end

-- Once a minute the legs under lease are counted by key of a limit, from those of each hop: workers of
-- a release before count none for routes, whose legs they may claim or reap.
local function recount()
  local last = tonumber(call('HGET', P .. 'pump', 'counted') or '0')
  if now >= last and now - last < 60000 then return end
  call('HSET', P .. 'pump', 'counted', now)
  local flat, sums = call('HGETALL', P .. 'inflight'), {}
  for i = 1, #flat, 2 do
    for _, key in ipairs({ limit_keys(sub(flat[i], 2)) }) do
      sums[key] = (sums[key] or 0) + tonumber(flat[i + 1])
    end
  end
  flat = call('HGETALL', P .. 'flying')
  for i = 1, #flat, 2 do
    if not sums[flat[i]] then call('HDEL', P .. 'flying', flat[i]) end
    if sums[flat[i]] == tonumber(flat[i + 1]) then sums[flat[i]] = nil end
  end
  for key, count in pairs(sums) do call('HSET', P .. 'flying', key, count) end
end
