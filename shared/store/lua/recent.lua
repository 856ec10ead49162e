#!lua flags=allow-oom,no-writes
-- recent: a stretch of the list of recent messages, with the positions that it has at this moment.
-- KEYS[1] prefix. Reads recent recent:trimmed
-- ARGV[4] the position before which it ends ('' for the list's end), [5] most ids, [6] a time in ms:
--   what was accepted later is left out ('' for none), [7] another: so is what was accepted earlier.
-- Returns {the position of the first id, the first position that may be asked for, the ids in one
--   string, oldest first}.

local list = P .. 'recent'
local trimmed = tonumber(call('GET', P .. 'recent:trimmed') or '0')
local length = call('LLEN', list)
local last = ARGV[4] == '' and length or math.max(0, math.min(length, tonumber(ARGV[4]) - trimmed))

-- How many before `last` were accepted until then. The list is in order of time, but for messages that
-- have overtaken one another.
local function until_then(ms)
  local low, high = 0, last
  while low < high do
    local middle = math.floor((low + high) / 2)
    if accepted_at(call('LINDEX', list, middle)) > ms then high = middle else low = middle + 1 end
  end
  return low
end

if ARGV[6] ~= '' then last = until_then(tonumber(ARGV[6])) end
local floor = ARGV[7] ~= '' and until_then(tonumber(ARGV[7]) - 1) or 0
local first = math.max(floor, last - tonumber(ARGV[5]))
local ids = last > first and call('LRANGE', list, first, last - 1) or {}
return { trimmed + first, trimmed + floor, table.concat(ids) }
