#!lua flags=allow-oom
-- dot: commit, before it happens, that the final dot of a message to be held is imminent, with what
-- the server has said by then. If the worker dies, that is the evidence for whoever has to decide.
-- KEYS[1] prefix. Reads and writes leg:<b> counters
-- ARGV[4] leg id, [5] fence, [6] statuses: recipients that were refused for good, the others as
--   they are, [7] the packed attempt.
-- Returns 0 or 1: 0 means that it must not be sent.

local id, fence = ARGV[4], tonumber(ARGV[5])
local l = load_leg(id)
if not l or l.state ~= LEASED or l.fence ~= fence or has(l.flags, LATE) then return 0 end
restate(l, ARGV[6], OPEN)
l.flags = with(with(l.flags, STARTED), DOT)
remember(l, ARGV[7])
save_leg(id, l)
commit()
return 1
