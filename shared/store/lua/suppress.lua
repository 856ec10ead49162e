#!lua
-- suppress: put entries on the suppression list. Not allow-oom: an import must not fill the store.
-- KEYS[1] prefix. Reads and writes suppressed suppressed:<n> events
-- ARGV[4]... for each entry: the place of its address, the entry, the event's payload; '': one event
--   `imported` tells how many of these have changed anything.
-- Returns a letter each: n new, o it was there, f too many at its place, x that place cannot be read;
--   fewer when these took long enough: the rest is to be sent again.

local MOST_READ = 1048576  -- Bytes: about 10 ms.
-- include suppressions

local answers = {}
for i = 4, #ARGV, 3 do
  if bytes_read > MOST_READ then break end
  answers[#answers + 1] = put_listed(ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
write_listed()
if quietly > 0 then event('imported', '', cmsgpack.pack({ suppressions = quietly })) end
return table.concat(answers)
