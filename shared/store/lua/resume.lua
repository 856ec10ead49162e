#!lua flags=allow-oom
-- resume: lift a hop's suspension, and the back-off of its trouble.
-- KEYS[1] prefix. Writes suspended trouble wake:<c> ring:<c> counters tickets:<c>
--   dramatiq:<class>[.msgs]
-- ARGV[4] hop. Returns 1 when there was something to lift.

local hop = ARGV[4]
local lifted = call('HDEL', P .. 'suspended', hop) + call('HDEL', P .. 'trouble', hop)
to_ring(hop)
commit()
return math.min(lifted, 1)
