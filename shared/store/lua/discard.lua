#!lua flags=allow-oom
-- discard: mail that was kept for a look goes.
-- KEYS[1] prefix. Reads and writes kept kept:about kept:content kept:bytes
-- ARGV[4]... ids; none: all of it.
-- Returns how many there were.

-- include kept
if #ARGV == 3 then
  local count = call('LLEN', P .. 'kept')
  call('UNLINK', P .. 'kept', P .. 'kept:about', P .. 'kept:content', P .. 'kept:bytes')
  return count
end
local count = 0
for i = 4, #ARGV do
  if call('LREM', P .. 'kept', 1, ARGV[i]) == 1 then
    discard(ARGV[i])
    count = count + 1
  end
end
return count
