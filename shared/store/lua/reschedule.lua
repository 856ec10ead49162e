#!lua
-- reschedule: a new time for a message that was never attempted.
-- KEYS[1] prefix. Reads and writes head:<b> leg:<b> deferred:<c> ready:<c>:<queue> ring:<c> expiry
--   events counters tickets:<c> dramatiq:<class>[.msgs]
-- ARGV[4] message id, [5] the head as read, [6] the new head, [7] send_at ms, [8] give up ms.
-- Returns 'c' changed, 'f' in flight, 't' too late, 'n' not known, 'a' again: the head changed.

local m, b = ARGV[4], byte(ARGV[4], 16)
local send_at, give_up = tonumber(ARGV[7]), tonumber(ARGV[8])
local first = load_leg(m .. '\0\0')
local head = call('HGET', P .. 'head:' .. b, m)
if not first or not head then return 'n' end
if head ~= ARGV[5] then return 'a' end
local legs = {}
for number = 0, first.legs - 1 do
  local id = m .. struct.pack('>H', number)
  local l = number == 0 and first or load_leg(id)
  if not l then return 't' end
  if l.state == LEASED then return 'f' end
  -- No history either: it was not queued again, and has ended no worker.
  local untried = l.attempts == 0 and l.tail == '\144'
  if not untried or string.find(l.statuses, '[^qsfp]') then return 't' end
  if l.state == READY or l.state == WAITING then
    legs[#legs + 1] = { id, l }
  elseif l.state ~= FINAL then
    return 't'
  end
end
if #legs == 0 then return 't' end  -- Everybody is suppressed.
call('HSET', P .. 'head:' .. b, m, ARGV[6])
for i = 1, #legs do
  local id, l = legs[i][1], legs[i][2]
  withdraw(id, l)
  l.give_up = give_up
  call('ZADD', P .. 'expiry', 'XX', give_up, id)
  if send_at > now then
    restate(l, all_open_to(l, 's'), OPEN)
    l.state, l.due = WAITING, send_at
    call('ZADD', P .. 'deferred:' .. l.c, send_at, id)
  else
    restate(l, all_open_to(l, 'q'), OPEN)
    l.state, l.due = READY, 0
    push_ready(id, l)
  end
  save_leg(id, l)
end
event('rescheduled', m, '')
commit()
return 'c'
