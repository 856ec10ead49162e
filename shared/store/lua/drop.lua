#!lua flags=allow-oom
-- drop: a worker has no room for the mail that a ticket announced; another ticket may follow soon.
-- KEYS[1] prefix. Writes tickets:<c>
-- ARGV[4] class, [5] ticket id.

return call('ZADD', P .. 'tickets:' .. ARGV[4], 'XX', now + 250, ARGV[5])
