#!lua flags=allow-oom
-- resume: lift a hop's suspension, the back-off of its trouble, and what its replies slowed it down.
-- KEYS[1] prefix. Writes suspended trouble shaping wake:<c> ring:<c> counters tickets:<c>
--   dramatiq:<class>[.msgs]; reads pools apps:<c>:<hop>
-- ARGV[4] hop. Returns 1 when it stood still or was slowed down: what is over does not count.

-- include limits

local hop = ARGV[4]
local suspended = suspended_till(call('HGET', P .. 'suspended', hop))
call('HDEL', P .. 'suspended', hop)
local lifted = call('HDEL', P .. 'trouble', hop) + (suspended and 1 or 0)
local field = '~' .. shared_part(hop)
local slowed = call('HGET', P .. 'shaping', field)
if slowed then
  if slowed_by(slowed) > 0 then lifted = lifted + 1 end
  call('HDEL', P .. 'shaping', field)
end
stir(hop)
commit()
return math.min(lifted, 1)
