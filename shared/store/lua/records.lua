#!lua
-- records: small records change together, as they were read, or not at all. Not allow-oom: a full
-- store is for messages.
-- KEYS[1] prefix. Reads and writes records:<kind> HASH key -> end in ms (8 bytes, 0: none) and value;
--   records:<kind>:ends ZSET key -> ms; audit STREAM
-- ARGV[4] how many changes; for each five: kind, key, '=' and the value that is expected, '-' (it is
--   not there) or '*' (whatever it is), '=' and the new value or '-', end in ms or '0'; then entries of the
--   audit trail, packed; the last ARGV how many of these are kept.
-- Returns 1, or 0 when one is not as expected and nothing was done.

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
