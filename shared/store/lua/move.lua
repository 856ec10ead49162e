#!lua flags=allow-oom
-- move: legs that wait at a hop wait at another one from now on. An older claim of such a leg is over.
-- KEYS[1] prefix. Reads and writes leg:<b> ready:<c>:<queue> ring:<c> wake:<c> apps:<c>:<hop> turns
--   urgent:<hop> waiting[:<c>:<hop>] deferred:<c> open expiry events counters tickets:<c>
--   dramatiq:<class>[.msgs]
-- ARGV[4] class, [5] hop, [6] '|' and the application whose ready legs they are, or '' for deferred
--   ones, [7] '1' when they are due now, then for each leg: id, fence and statuses as read, how many
--   legs replace it, and of each of these hop, statuses, packed indices. None replaces a leg that
--   was gone from there when it was read.
-- Returns one 1 or 0 each: 0 means that it is not there any more, or not as it was read.

local c, hop, whose, due_now = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1'
local app = sub(whose, 2)
local queue = app == '' and hop or hop .. '|' .. app
local list, set = P .. 'ready:' .. c .. ':' .. queue, P .. 'waiting:' .. c .. ':' .. hop

local function is_here(l)
  if l.c ~= c or l.hop ~= hop then return false end
  if whose == '' then return l.state == WAITING end
  return l.state == READY and l.app == app
end

-- A queue that is empty has no turn; one that a part goes back to gets a new one.
local function leave()
  if whose == '' or call('LLEN', list) > 0 then return end
  call('ZREM', P .. 'wake:' .. c, queue)
  call('LREM', P .. 'ring:' .. c, 0, queue)
  call('ZREM', P .. 'apps:' .. c .. ':' .. hop, app)
  if c == '0' then call('SREM', P .. 'urgent:' .. hop, app) end
  if call('EXISTS', P .. 'apps:' .. c .. ':' .. hop) == 0 then call('HDEL', P .. 'turns', c .. hop) end
end

-- The id goes from where it was read: it may stand there for nothing.
local function strike(id)
  if whose ~= '' then
    call('LREM', list, 1, id)
    leave()
  elseif call('ZREM', set, id) == 1 then
    waits[c .. hop] = (waits[c .. hop] or 0) - 1
  end
end

-- Numbers for the legs that a leg parts into; the message has so many more then.
local function numbers_for(id, l, added)
  local m = sub(id, 1, 16)
  local zero = m .. '\0\0'
  local first = id == zero and l or load_leg(zero)
  local total = first.legs
  -- The count of open legs exists only while a message has several.
  if total == 1 then call('HSET', P .. 'open', m, 1) end
  call('HINCRBY', P .. 'open', m, added)
  first.legs = total + added
  l.legs = first.legs
  if id ~= zero then save_leg(zero, first) end
  return total
end

local function put(id, l)
  if l.state == WAITING and not due_now then
    defer(id, l)
    save_leg(id, l)
    return
  end
  l.state, l.due = READY, 0
  save_leg(id, l)
  push_ready(id, l)
end

-- `at` is the place in ARGV of the first of `n` legs that replace it.
local function move(id, l, at, n)
  local m, state, due, owner = sub(id, 1, 16), l.state, l.due, l.app
  local timed = n > 1 and call('ZSCORE', P .. 'expiry', id)
  withdraw(id, l)
  if state == READY then strike(id) end
  note(l, sub('moved; to ' .. ARGV[at] .. (n > 1 and ', ...' or ''), 1, 255))
  l.fence = l.fence + 1
  l.flags = has(l.flags, HOLD) and HOLD or 0
  local total = n > 1 and numbers_for(id, l, n - 1)
  for i = 0, n - 1 do
    local from = at + 3 * i
    l.state, l.due = state, due
    l.hop, l.statuses, l.indices = ARGV[from], ARGV[from + 1], ARGV[from + 2]
    l.app = sub(owner, 1, math.max(0, 254 - #l.hop))  -- The record has 255 bytes for both.
    local target = i == 0 and id or m .. struct.pack('>H', total + i - 1)
    if timed and i > 0 then call('ZADD', P .. 'expiry', timed, target) end
    put(target, l)
  end
  event('moved', id, '')
end

local answers, i = {}, 8
while i <= #ARGV do
  local id, n = ARGV[i], tonumber(ARGV[i + 3])
  local rec = call('HGET', leg_key(id), id)
  local l = rec and decode(rec)
  local done = 0
  if not rec or (l and not is_here(l)) then
    strike(id)
  elseif l and n > 0 and l.fence == tonumber(ARGV[i + 1]) and l.statuses == ARGV[i + 2]
    and (n == 1 or load_leg(sub(id, 1, 16) .. '\0\0')) then  -- The first leg counts all of them.
    move(id, l, i + 4, n)
    done = 1
  end
  answers[#answers + 1] = done
  i = i + 4 + 3 * n
end
commit()
return answers
