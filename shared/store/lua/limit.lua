#!lua flags=allow-oom
-- limit: what holds for some keys from now on, configured or set by an operator.
-- KEYS[1] prefix. Writes shaping wake:<c> ring:<c> counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4]... for each: the field of `shaping`, its text, empty to remove it.
-- Returns how many that changed. Then what waits for a permit of one of them asks again: all that waits
-- is looked at once, however many changed.

-- include configure
local changed, news = {}, 0
for i = 4, #ARGV, 2 do
  if configure(ARGV[i], ARGV[i + 1]) then
    changed[string.match(ARGV[i], '^[!~]?(.*)$')] = true
    news = news + 1
  end
end
if news == 0 then return 0 end

local function is_bound(hop)
  local whose, route = limit_keys(hop)
  return changed[whose] or route and changed[route] or changed['mx:*'] and is_site(hop)
end

for c in pairs(CLASS) do
  for _, queue in ipairs(call('ZRANGE', P .. 'wake:' .. c, 0, -1)) do
    if is_bound(hop_and_app(queue)) then
      call('ZREM', P .. 'wake:' .. c, queue)
      call('RPUSH', P .. 'ring:' .. c, queue)
      touched[c] = true
    end
  end
end
commit()
return news
