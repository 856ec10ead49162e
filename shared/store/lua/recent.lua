#!lua flags=allow-oom,no-writes
-- recent: a stretch of the list of recent messages, with the positions that it has at this moment.
-- KEYS[1] prefix. Reads recent recent:trimmed
-- ARGV[4] the position before which it ends ('' for the list's end), [5] most ids, [6] a time in ms:
--   what was accepted later is left out ('' for none).
-- Returns {the position of the first id, that of the list's first, the ids in one string, oldest first}.

local list = P .. 'recent'
local trimmed = tonumber(call('GET', P .. 'recent:trimmed') or '0')
local length = call('LLEN', list)
local last = ARGV[4] == '' and length or math.max(0, math.min(length, tonumber(ARGV[4]) - trimmed))

-- The list is in order of time, but for messages that have overtaken one another.
if ARGV[6] ~= '' and last > 0 then
  local latest, low, high = tonumber(ARGV[6]), 0, last
  while low < high do
    local middle = math.floor((low + high) / 2)
    if accepted_at(call('LINDEX', list, middle)) > latest then high = middle else low = middle + 1 end
  end
  last = low
end

local first = math.max(0, last - tonumber(ARGV[5]))
local ids = last > first and call('LRANGE', list, first, last - 1) or {}
return { trimmed + first, trimmed, table.concat(ids) }
