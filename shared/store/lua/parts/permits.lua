-- A permit was not used. Of a window it is taken off the first part, as no later one may count for less;
-- but not when it was taken so long ago that it does not count any more.
local function give_back(key, taken_at)
  local limit = limit_of(key)
  if not limit then return end
  local tat = limit.interval > 0 and call('HGET', P .. 'gcra', key)
  if tat then
    call('HSET', P .. 'gcra', key, string.format('%.17g', tonumber(tat) - limit.interval))
  end
  for window in pairs(WINDOWS) do
    if limit[window] > 0 then
      local used, part, width, at = used_of(key, window)
      local first = math.floor(taken_at / width) >= part - 60 and first_of(used)
      if first and call('HINCRBY', at, first, -1) <= 0 then call('HDEL', at, first) end
    end
  end
end

-- Those of a leg that a hop had, which has been withdrawn.
local function give_back_all(l)
  for _, key in ipairs({ limit_keys(l.via or l.hop) }) do give_back(key, l.due) end
end
