-- Permits that class critical waits for are its own, also where several hops share a limit: a relay from
-- several addresses or in a pool, the sites of a route. awaited:<key> ZSET hop -> ms, of those where it
-- found too few.
local SOON_MS, AWAITED_MS = 1000, 90000000  -- A day's permits come within 25 hours.

-- Note whether the visited hop is one of them.
local function await(key, is_short)
  local set = P .. 'awaited:' .. key
  if is_short then
    call('ZADD', set, now, home)
    call('PEXPIRE', set, AWAITED_MS)
  else
    call('ZREM', set, home)
  end
end

-- When mail of class critical at a hop asks for permits the next time; nil: there is none.
local function asks_at(hop)
  local soonest
  local apps = call('SMEMBERS', P .. 'urgent:' .. hop)
  for i = 1, #apps do
    local queue = queue_at(hop, apps[i])
    if call('LLEN', P .. 'ready:0:' .. queue) > 0 then
      local at = tonumber(call('ZSCORE', P .. 'wake:0', queue) or '0')
      soonest = math.min(soonest or at, at)
    else
      call('SREM', P .. 'urgent:' .. hop, apps[i])
    end
  end
  return soonest
end

-- One whose time is far away waits for something else, too.
local function is_awaited(key)
  local set = P .. 'awaited:' .. key
  for _, hop in ipairs(call('ZRANGEBYSCORE', set, '-inf', now + SOON_MS, 'LIMIT', 0, 20)) do
    local at = asks_at(hop)
    if at and at <= now + SOON_MS then return true end
    if at then call('ZADD', set, at, hop) else call('ZREM', set, hop) end
  end
  return false
end
