-- The age in ms of the oldest head among the first 100 ready queues of a class; -1: none is ready.
local function oldest(c)
  local hops = call('LRANGE', P .. 'ring:' .. c, 0, 99)
  local age = -1
  for i = 1, #hops do
    local id = call('LINDEX', P .. 'ready:' .. c .. ':' .. hops[i], 0)
    if id then age = math.max(age, now - accepted_at(id)) end
  end
  return age
end
