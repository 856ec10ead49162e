-- A permit was not used. Of a window it is taken off the first part: no later one may count for less.
local function give_back(key)
  local limit = limit_of(key)
  if not limit then return end
  local tat = limit.interval > 0 and call('HGET', P .. 'gcra', key)
  if tat then
    call('HSET', P .. 'gcra', key, string.format('%.17g', tonumber(tat) - limit.interval))
  end
  for window in pairs(WINDOWS) do
    if limit[window] > 0 then
      local used, _, _, at = used_of(key, window)
      local first = first_of(used)
      if first and call('HINCRBY', at, first, -1) <= 0 then call('HDEL', at, first) end
    end
  end
end

local function give_back_all(hop)
  for _, key in ipairs({ limit_keys(hop) }) do give_back(key) end
end
