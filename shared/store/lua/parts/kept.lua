-- Forget one mail that was kept, once its id is out of the list; false: there was no id.
local function discard(id)
  if not id then return false end
  local bytes = call('HSTRLEN', P .. 'kept:about', id) + call('HSTRLEN', P .. 'kept:content', id)
  call('HDEL', P .. 'kept:about', id)
  call('HDEL', P .. 'kept:content', id)
  call('DECRBY', P .. 'kept:bytes', bytes)
  return true
end
