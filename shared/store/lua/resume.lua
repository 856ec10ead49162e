#!lua flags=allow-oom
-- resume: lift a hop's suspension, and the back-off of its trouble.
-- KEYS[1] prefix. Writes suspended trouble wake:<c> ring:<c> counters tickets:<c>
--   dramatiq:<class>[.msgs]; reads pools apps:<c>:<hop>
-- ARGV[4] hop. Returns 1 when it stood still: a suspension whose time is over does not count.

local hop = ARGV[4]
local suspended = suspended_till(call('HGET', P .. 'suspended', hop))
call('HDEL', P .. 'suspended', hop)
local lifted = call('HDEL', P .. 'trouble', hop) + (suspended and 1 or 0)
stir(hop)
commit()
return math.min(lifted, 1)
