-- What `records` and `records_large` do.

local n = tonumber(ARGV[4])
local last = 4 + 5 * n

local function standing(kind, key)
  local found = call('HGET', P .. 'records:' .. kind, key)
  if not found or #found < 8 then return nil end
  local ends = struct.unpack('>d', found)
  if ends ~= 0 and ends <= now then return nil end
  return sub(found, 9)
end

for at = 5, last, 5 do
  local expected = ARGV[at + 2]
  if expected ~= '*' then
    local found = standing(ARGV[at], ARGV[at + 1])
    if (found and '=' .. found or '-') ~= expected then return 0 end
  end
end

local seen = {}
for at = 5, last, 5 do
  local kind, key, value, ends = ARGV[at], ARGV[at + 1], ARGV[at + 3], tonumber(ARGV[at + 4])
  local name = P .. 'records:' .. kind
  if value == '-' then
    call('HDEL', name, key)
    call('ZREM', name .. ':ends', key)
  else
    call('HSET', name, key, struct.pack('>d', ends) .. sub(value, 2))
    if ends > 0 then
      call('ZADD', name .. ':ends', ends, key)
    else
      call('ZREM', name .. ':ends', key)
    end
  end
  seen[kind] = true
end

-- What has ended goes, some of it at each write.
for kind in pairs(seen) do
  local name = P .. 'records:' .. kind
  for _, key in ipairs(call('ZRANGEBYSCORE', name .. ':ends', '-inf', now, 'LIMIT', 0, 20)) do
    call('HDEL', name, key)
    call('ZREM', name .. ':ends', key)
  end
end

for at = last + 1, #ARGV - 1 do
  call('XADD', P .. 'audit', 'MAXLEN', '~', ARGV[#ARGV], '*', 'e', ARGV[at])
end
return 1
