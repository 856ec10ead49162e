#!lua flags=no-writes,allow-oom
-- lengths: how many legs are ready in queues, of which there may be thousands.
-- KEYS[1] prefix. Reads ready:<c>:<queue>
-- ARGV[4] class, then the queues, at most 1,000.
-- Returns the length of each.

local lengths = {}
for i = 5, #ARGV do lengths[i - 4] = call('LLEN', P .. 'ready:' .. ARGV[4] .. ':' .. ARGV[i]) end
return lengths
