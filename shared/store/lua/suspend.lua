#!lua flags=allow-oom
-- suspend: an operator keeps a hop's mail queued until a time, or until it is resumed.
-- KEYS[1] prefix. Writes suspended wake:<c>
-- ARGV[4] hop, [5] until when in ms, 0 without an end, [6] the reason.

local hop, till = ARGV[4], tonumber(ARGV[5])
call('HSET', P .. 'suspended', hop, string.format('%d', till) .. '|' .. ARGV[6])
for c in pairs(CLASS) do
  -- A hop that already waits keeps its place; one in the ring is put aside by the next claim.
  call('ZADD', P .. 'wake:' .. c, 'XX', still_until(hop), hop)
end
return 1
