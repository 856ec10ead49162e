#!lua flags=allow-oom
-- unsuppress: take an entry off the suppression list.
-- KEYS[1] prefix. Reads and writes suppressed suppressed:<n> events
-- ARGV[4] the place of its address, [5] its identity, [6] the event's payload.
-- Returns whether it was there, 1 or 0.

-- include suppressions

local was = drop_listed(ARGV[4], ARGV[5], ARGV[6])
write_listed()
return was and 1 or 0
