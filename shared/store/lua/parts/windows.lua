-- Limits of any minute, hour or day. A leg counts for the 60th part of the window in which it was
-- claimed, until that is a whole window ago: so never for less than a window, and for a 60th longer.
local WINDOWS = { minute = 60000, hour = 3600000, day = 86400000 }

-- The legs of each part of a window that still counts, the number of the part that is now, its length
-- and the key they are kept at.
local function used_of(key, window)
  local at, width = P .. 'used:' .. window .. ':' .. key, WINDOWS[window] / 60
  local part, used, over = math.floor(now / width), {}, {}
  local found = call('HGETALL', at)
  for i = 1, #found, 2 do
    if tonumber(found[i]) < part - 60 then
      over[#over + 1] = found[i]
    else
      used[tonumber(found[i])] = tonumber(found[i + 1])
    end
  end
  if #over > 0 then call('HDEL', at, unpack(over)) end
  return used, part, width, at
end

local function first_of(used)
  local first
  for part in pairs(used) do
    if not first or part < first then first = part end
  end
  return first
end
