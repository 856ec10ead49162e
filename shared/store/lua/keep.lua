#!lua
-- keep: mail that came back is kept for a look; the oldest goes when there is too much. Not
-- allow-oom: a full store is for messages.
-- KEYS[1] prefix. Reads and writes kept LIST of ids, the oldest first; kept:about kept:content HASH by
--   id; kept:bytes STRING, of both
-- ARGV[4] id, [5] what is known of it, [6] its beginning, [7] most, [8] most bytes of all.
-- Returns how many there are; the same id twice is one.

-- include kept
local id = ARGV[4]
if call('HSETNX', P .. 'kept:about', id, ARGV[5]) == 1 then
  call('HSET', P .. 'kept:content', id, ARGV[6])
  call('RPUSH', P .. 'kept', id)
  call('INCRBY', P .. 'kept:bytes', #ARGV[5] + #ARGV[6])
end
local most, most_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
while call('LLEN', P .. 'kept') > most
  or tonumber(call('GET', P .. 'kept:bytes') or '0') > most_bytes do
  if not discard(call('LPOP', P .. 'kept')) then  -- Nothing is left: what was counted was wrong.
    call('DEL', P .. 'kept:bytes')
    break
  end
end
return call('LLEN', P .. 'kept')
