#!lua flags=allow-oom
-- suspend: an operator keeps a hop's mail queued until a time, or until it is resumed.
-- KEYS[1] prefix. Writes suspended wake:<c>; reads trouble apps:<c>:<hop>
-- ARGV[4] hop, [5] until when in ms, 0 without an end, [6] the reason.

local hop, till = ARGV[4], tonumber(ARGV[5])
call('HSET', P .. 'suspended', hop, string.format('%d', till) .. '|' .. ARGV[6])
to_ring(hop, still_until(hop))
return 1
