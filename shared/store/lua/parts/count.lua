-- The claim has left mail behind: count whose queues are in the ring, for parts/shares.lua. Nobody keeps
-- these numbers, so that nothing has to be right for ever; of a very long ring its first part stands for
-- all.
local COUNTED = 2000
local keys, of, new, sum, most, least = {}, {}, {}, 0, 1, math.huge
local places = call('LRANGE', ring, 0, COUNTED - 1)
for i = 1, #places do
  local key = string.match(places[i], '^[^@|]*')
  local n = of[key]
  if not n then keys[#keys + 1] = key end
  of[key] = (n or 0) + 1
end
local NINTH = '^' .. string.rep('[^|]*|', 8) .. '(%d+)'
local function weight_in(text)
  return math.max(1, tonumber(text and string.match(text, NINTH) or 1))
end
local texts = limited and call('HMGET', P .. 'shaping', 'mx:*', unpack(keys)) or {}
local of_sites = weight_in(texts[1])
for i = 1, #keys do
  local key, text = keys[i], texts[i + 1]
  local default = is_site(key) and key ~= 'mx:?' and of_sites or 1
  local weight = text and weight_in(text) or default
  sum, most, least = sum + weight, math.max(most, weight), math.min(least, weight)
  if of[key] > 1 or weight ~= default then
    local had = call('HGET', shares, key)
    had = had and select(3, struct.unpack('>ddd', had)) or 0
    new[#new + 1] = { key, struct.pack('>ddd', of[key], weight, had) }
  end
end
local alike = #keys == 1 or #new == 0 and most == least
local begun = not alike and call('HGET', shares, '<')
call('DEL', shares)
call('HSET', shares, '', alike and now or struct.pack('>ddddd', now, #places, sum, most, of_sites))
if begun then call('HSET', shares, '<', begun) end
for i = 1, alike and 0 or #new do call('HSET', shares, new[i][1], new[i][2]) end
call('PEXPIRE', shares, 60000)
