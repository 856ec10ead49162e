#!lua flags=allow-oom
-- limit: what holds for a key from now on, configured or set by an operator.
-- KEYS[1] prefix. Writes shaping wake:<c> ring:<c> counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] the field of `shaping`, [5] its text, empty to remove it.
-- Returns 1 when that changed it. Then what waits for a permit of it asks again.

local field, text = ARGV[4], ARGV[5]
-- include configure
if not configure(field, text) then return 0 end

local key = string.match(field, '^[!~]?(.*)$')
local function is_bound(hop)
  local whose, route = limit_keys(hop)
  return key == whose or key == route or key == 'mx:*' and is_site(hop)
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
return 1
