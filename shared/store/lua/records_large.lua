#!lua
-- records_large: the same for those that are not small. Not allow-oom: a full store is for messages.
-- KEYS[1] prefix. Reads and writes records:<kind> HASH key -> end in ms (8 bytes, 0: none) and value;
--   records:<kind>:ends ZSET key -> ms; audit STREAM
-- ARGV[4] how many changes; for each five: kind, key, '=' and the value that is expected, '-' (it is
--   not there) or '*' (whatever it is), '=' and the new value or '-', end in ms or '0'; then entries of the
--   audit trail, packed; the last ARGV how many of these are kept.
-- Returns 1, or 0 when one is not as expected and nothing was done.

-- include records
