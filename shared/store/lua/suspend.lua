#!lua flags=allow-oom
-- suspend: keep a hop's mail queued until a time, or lift that.
-- KEYS[1] prefix. Writes suspended wake:<c> ring:<c> counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] hop, [5] for how many ms; 0 lifts the suspension.

local hop, duration = ARGV[4], tonumber(ARGV[5])
if duration > 0 then
  call('HSET', P .. 'suspended', hop, now + duration)
  for c in pairs(CLASS) do
    -- A hop that already waits keeps its place; its time becomes the suspension's end.
    call('ZADD', P .. 'wake:' .. c, 'XX', now + duration, hop)
  end
else
  call('HDEL', P .. 'suspended', hop)
  to_ring(hop)
end
return commit()
