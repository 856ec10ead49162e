-- Every script begins with this text: the clock, the leg record, counters, queues and tickets.
-- KEYS[1] is the prefix of every key. ARGV[1] is the time in ms, or '' for the server's own;
-- ARGV[2] the text of a ticket, with @ID@ and @CLASS@ in it; ARGV[3] the quantum.
-- KEYS that the functions below touch, each behind the prefix:
--   counters HASH field -> number        ring:<c> LIST of queues    wake:<c> ZSET queue -> ms
--   ready:<c>:<queue> LIST of leg ids    deferred:<c> leases:<c> ZSET leg id -> ms
--   apps:<c>:<hop> ZSET application -> the end of its turn, of those whose queue has been in `wake`
--   urgent:<hop> SET of applications that may have ready mail of class critical
--   weights HASH application -> its weight, where that is not 1
--   shares:<c> HASH of how destinations share what is scarce (parts/shares.lua)
--   leg:<b> head:<b> body:<b> HASH       open HASH message id -> legs not final
--   finished LIST of message id and ms   events STREAM              inflight HASH <c><hop> -> legs
--   waiting:<c>:<hop> ZSET deferred leg id -> when its message was accepted
--   waiting HASH <c><hop> -> deferred legs                          rate:<minute> HASH <c><hop> -> legs
--   began:<minute> HASH <c><hop> -> when the first of these was answered, in ms
--   turns HASH <c><hop> -> when it last had a permit of a limit
--   flying HASH key of a limit -> legs under lease
--   pools HASH pool -> 'ordered' or 'weighted', then its members and their weights
--   refusals:<day> HASH hop -> ms, '|', what it last refused something with
--   served:<pool> HASH member -> legs it was given
--   suspended HASH hop -> until ms, '|', reason                     expiry ZSET leg id -> give-up ms
--   trouble recovering HASH by hop
--   shaping HASH key -> what is configured, '!' and key -> what an operator has set, '~' and key -> how
--   far replies have slowed it down (shared/store/limits.py). A key is the shared part of a hop, '@'
--   and a route's name, or 'mx:*' for the sites that have none of their own
--   limits HASH: the same in a release before, whose claims break on more than its three numbers
--   blocked:<key> ZSET hop -> ms, of those that wait for a leg under lease to end; awaited:<key> ZSET hop
--   -> ms, of those where class critical waits for permits (parts/awaited.lua)
--   gcra HASH key -> ms                  used:<window>:<key> HASH part of the window -> legs
--   tickets:<c> ZSET id -> ms  live STRING
--   suppressed suppressed:<n> HASH, the suppression list (parts/suppressions.lua)
--   quota:<window>:<start> HASH application -> recipients, with the window's start in ms
--   outcomes HASH '<c>|APPLICATION|SITE|WHAT' -> recipients, since ever; outcomes:<day> the same of a
--   day (UTC), kept for 35 days. Names are escaped (shared/store/outcomes.py)
--   told:<week> HASH digest of late news -> ''     early:<hour> HASH leg id -> news of it (parts/early.lua)
--   recent LIST of ids of messages, as they were accepted; recent:trimmed STRING, how many are gone from its left
--   samples LIST of figures by minute (parts/sample.lua)
--   records:<kind> HASH, records:<kind>:ends ZSET key -> ms, audit STREAM (records.lua)
--   waited STRING, written to wait for replicas
--   kept LIST of ids of mail that came back, kept:about kept:content HASH by id, kept:bytes STRING
-- and Dramatiq's own: dramatiq:<class> LIST, dramatiq:<class>.msgs HASH.
-- <c> is the class: 0 critical, 1 transactional, 2 bulk; <b> is the id's last byte. <queue> is
-- '<hop>|<application>': each application has a queue of its own at a hop. What a release before
-- that has stored has no application: its queue is the hop's name alone.

local P = KEYS[1]
local call = redis.call
local byte, sub = string.byte, string.sub
local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
else
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local CLASS = { ['0'] = 'critical', ['1'] = 'transactional', ['2'] = 'bulk' }
local READY, LEASED, WAITING, HELD, FINAL, DEAD = 1, 2, 3, 4, 5, 6
local STARTED, DOT, HOLD, LATE = 1, 2, 4, 8
local OPEN = { q = true, s = true, f = true }
local FIXED = '>BBBBBI4HHdd'

local function has(flags, flag) return flags % (flag * 2) >= flag end
local function without(flags, flag) return has(flags, flag) and flags - flag or flags end
local function with(flags, flag) return has(flags, flag) and flags or flags + flag end

-- Whether a record that cannot be read may be one of a newer release; otherwise it is damaged.
local function is_newer(rec)
  local first = byte(rec, 1) or 0
  return first > 1 and first <= 15
end

local function is_time(ms) return ms >= 0 and ms < 253402300800000 end  -- The year 10000.

-- Where the last attempts begin in a record's tail, and how many they are; nil: it is damaged.
local function history_at(tail)
  local at = 1
  if byte(tail, 1) == 193 and #tail > 3 then at = 4 + byte(tail, 2) * 256 + byte(tail, 3) end
  local first = byte(tail, at) or 0
  if first >= 144 and first <= 159 then return at, first - 144, at + 1 end
  if first ~= 220 or #tail < at + 2 then return nil end
  return at, byte(tail, at + 1) * 256 + byte(tail, at + 2), at + 3
end

-- Where a record's statuses, recipients and tail begin; nil when this release cannot read it. As strict as `shared/model/leg.py`, but for what is inside the history.
-- Makes no strings: every claimed leg is looked at.
local function parts_of(rec)
  local format, state, class = byte(rec, 1, 3)
  if format ~= 1 or #rec < 36 or state < 1 or state > 6 or class > 2 then return nil end
  local at = 33 + byte(rec, 30)
  local high, low = byte(rec, at - 2, at - 1)
  if not low then return nil end
  local n = high * 256 + low
  local _, last = string.find(rec, '^[qsfdbxpcul]+', at)
  if n == 0 or not last or last < at + n - 1 then return nil end
  high, low = byte(rec, at + n, at + n + 1)
  if not low then return nil end
  local m = high * 256 + low
  local tail = at + n + 2 + 2 * m
  local kind = byte(rec, tail) or 0
  if m ~= 0 and m ~= n then return nil end
  if (kind < 144 or kind > 159) and not history_at(sub(rec, tail)) then return nil end
  return at, at + n, tail
end

-- The hop and the application of a queue.
local function hop_and_app(queue)
  local bar = string.find(queue, '|', 1, true)
  if not bar then return queue, '' end
  return sub(queue, 1, bar - 1), sub(queue, bar + 1)
end

local function queue_at(hop, app) return app == '' and hop or hop .. '|' .. app end

-- The record as a table; nil when it is one that this release cannot read.
local function decode(rec)
  local statuses, indices, tail = parts_of(rec)
  if not statuses then return nil end
  local l = {}
  local _
  _, l.state, l.class, l.crashes, l.flags, l.fence, l.attempts, l.legs, l.due, l.give_up =
    struct.unpack(FIXED, rec)
  if not is_time(l.due) or not is_time(l.give_up) then return nil end
  l.hop, l.app = hop_and_app(sub(rec, 31, statuses - 3))
  l.statuses = sub(rec, statuses, indices - 1)
  l.indices = sub(rec, indices, tail - 1)
  l.tail = sub(rec, tail)
  l.c = tostring(l.class)
  return l
end

local function encode(l)
  local place = queue_at(l.hop, l.app)
  return struct.pack(FIXED, 1, l.state, l.class, l.crashes, l.flags, l.fence, l.attempts,
    l.legs, l.due, l.give_up)
    .. string.char(#place) .. place
    .. struct.pack('>H', #l.statuses) .. l.statuses .. l.indices .. l.tail
end

local function leg_key(id) return P .. 'leg:' .. byte(id, 16) end
local function load_leg(id)
  local rec = call('HGET', leg_key(id), id)
  return rec and decode(rec) or nil
end
local function save_leg(id, l) call('HSET', leg_key(id), id, encode(l)) end

-- Changes of numbers are gathered and written once a script.
local counts, flights, aloft, waits, rates, touched = {}, {}, {}, {}, {}, {}
local function bump(field, by) counts[field] = (counts[field] or 0) + by end

-- Outcomes by application and site; `name` is '|APPLICATION|SITE|WHAT', escaped.
local outcomes = {}
local function score(c, name, by)
  outcomes[c .. name] = (outcomes[c .. name] or 0) + by
end

-- A leg that a member of a pool has is at '<member><<pool>'; everywhere else at the pool, whose
-- queue its members share.
local function member_of(hop) return string.match(hop, '^[^<]*') end
local function queue_of(hop) return string.match(hop, '<(.*)$') or hop end

-- The relay or site of a hop, from whichever address it is reached.
local function shared_part(hop) return string.match(hop, '^[^@<]*') end

-- What limits of a hop belong to: its relay or site, and the route it is named after, or nil. What
-- only asks DNS is limited by neither: it goes to a site, where it is.
local function limit_keys(hop)
  local whose, route = string.match(hop, '^([^@<]*)@?([^+<]*)')
  return whose, whose ~= 'mx:?' and route ~= '' and '@' .. route or nil
end

local function fly(c, hop, by)
  local whose, route = limit_keys(hop)
  flights[c .. hop] = (flights[c .. hop] or 0) + by
  aloft[whose] = (aloft[whose] or 0) + by
  if route then aloft[route] = (aloft[route] or 0) + by end
end

-- A UUIDv7 begins with its time in ms, 48 bits (RFC 9562 section 5.7).
local function accepted_at(id)
  local high, low = struct.unpack('>I4H', id)
  return high * 65536 + low
end

-- A leg that was deferred: due at l.due, and findable by its destination, oldest first.
local function defer(id, l)
  l.state = WAITING
  call('ZADD', P .. 'deferred:' .. l.c, l.due, id)
  if call('ZADD', P .. 'waiting:' .. l.c .. ':' .. l.hop, accepted_at(id), id) == 1 then
    waits[l.c .. l.hop] = (waits[l.c .. l.hop] or 0) + 1
  end
end

local function undefer(id, l)
  call('ZREM', P .. 'deferred:' .. l.c, id)
  if call('ZREM', P .. 'waiting:' .. l.c .. ':' .. l.hop, id) == 1 then
    waits[l.c .. l.hop] = (waits[l.c .. l.hop] or 0) - 1
  end
end

local function event(kind, id, payload)
  call('XADD', P .. 'events', '*', 'k', kind, 'l', id, 'p', payload)
end

-- Replace the statuses that `from` allows; unchanged ones keep their letter.
local function restate(l, new, from)
  local old, parts = l.statuses, {}
  if old == new then return end
  for i = 1, #old do
    local o, n = sub(old, i, i), sub(new, i, i)
    if o ~= n and n ~= '' and from[o] then
      bump('s:' .. l.c .. ':' .. o, -1)
      bump('s:' .. l.c .. ':' .. n, 1)
      parts[i] = n
    else
      parts[i] = o
    end
  end
  l.statuses = table.concat(parts)
end

local function has_open(l) return string.find(l.statuses, '[qsf]') ~= nil end
local function all_open_to(l, letter) return (string.gsub(l.statuses, '[qsf]', letter)) end

-- An older claim has reported, too late, that every open recipient has its mail: believe it as soon
-- as the holder is done.
local function heed(l)
  if has(l.flags, LATE) and has_open(l) then
    restate(l, all_open_to(l, 'd'), OPEN)
    bump('late_delivered', 1)
  end
end

-- Put a leg on its ready queue; a queue that was empty gets its place in the ring.
local function push_ready(id, l, at_head)
  local queue = queue_at(l.hop, l.app)
  local n = call(at_head and 'LPUSH' or 'RPUSH', P .. 'ready:' .. l.c .. ':' .. queue, id)
  if n == 1 then
    call('RPUSH', P .. 'ring:' .. l.c, queue)
    if l.c == '0' then call('SADD', P .. 'urgent:' .. l.hop, l.app) end
  end
  bump('r:' .. l.c, 1)
  touched[l.c] = true
end

-- The message's last leg is final: the content goes, the summary stays for a while.
local function finish(id, l)
  local m = sub(id, 1, 16)
  local number = byte(id, 17) * 256 + byte(id, 18)
  if number > 0 or l.legs > 1 then
    if call('HINCRBY', P .. 'open', m, -1) > 0 then return end
    call('HDEL', P .. 'open', m)
  end
  call('HDEL', P .. 'body:' .. byte(id, 16), m)
  call('RPUSH', P .. 'finished', m .. struct.pack('>d', now))
end

-- Where a leg goes once its statuses are known. `wait` is in ms.
local function place(id, l, wait)
  if has_open(l) then
    l.due = now + wait
    if l.give_up > now and l.due > l.give_up then l.due = l.give_up end
    defer(id, l)
    return
  end
  l.due = 0
  if string.find(l.statuses, 'u', 1, true) then
    l.state = HELD
    call('ZADD', P .. 'held', now, id)
  elseif string.find(l.statuses, 'l', 1, true) then
    l.state = DEAD
    call('ZADD', P .. 'dead', now, id)
  else
    l.state = FINAL
    finish(id, l)
  end
end

-- Take a leg out of whatever holds it now. A ready id stays behind as a tombstone. Of a leased one
-- `via` is the hop that had it.
local function withdraw(id, l)
  if l.state == READY then
    bump('r:' .. l.c, -1)
  elseif l.state == LEASED then
    call('ZREM', P .. 'leases:' .. l.c, id)
    l.via = member_of(l.hop)
    l.hop = queue_of(l.hop)
    fly(l.c, l.via, -1)
    touched[l.c] = true
  elseif l.state == WAITING then
    undefer(id, l)
  elseif l.state == DEAD then
    call('ZREM', P .. 'dead', id)
  elseif l.state == HELD then
    call('ZREM', P .. 'held', id)
  end
end

-- Whose message a leg is. Its record has the first 48 bytes of the name, less behind a long hop, and
-- none in a release before; the head has all of it.
local function application_of(id, l)
  if l.app ~= '' and #l.app < 45 and #l.hop + #l.app < 250 then return l.app end
  local fine, head = pcall(cmsgpack.unpack,
    sub(call('HGET', P .. 'head:' .. byte(id, 16), sub(id, 1, 16)) or '', 2))
  local name = fine and type(head) == 'table' and head[1]
  return type(name) == 'string' and name or l.app
end

local function escaped(text)
  return (string.gsub(text, '[%z\1-\32\127%%|]', function(char)
    return string.format('%%%02X', byte(char))
  end))
end

-- The message's time is over: whoever still waits for it gets it no more. Which provider a hop
-- belongs to is not known here, so these count for other sites.
local function expire(id, l)
  local _, people = string.gsub(l.statuses, '[qsf]', '')
  score(l.c, '|' .. escaped(application_of(id, l)) .. '|other|expired', people)
  withdraw(id, l)
  restate(l, all_open_to(l, 'x'), OPEN)
  place(id, l, 0)
  save_leg(id, l)
  event('expired', id, '')
end

-- Add a packed `Attempt` to the history, an array of 15 in its short form, of more in its long one.
-- Nothing else bounds what operators queue again and again: beyond 500 the oldest goes.
local MOST_KEPT = 500
local function remember(l, attempt)
  local at, n, rest = history_at(l.tail)
  if n >= MOST_KEPT then
    local fine, second = pcall(cmsgpack.unpack_one, l.tail, rest - 1)
    if not fine then return end  -- Damaged inside: whoever reads it will say so.
    n, rest = n - 1, second + 1
  end
  l.tail = sub(l.tail, 1, at - 1)
    .. (n < 15 and string.char(145 + n) or '\220' .. struct.pack('>H', n + 1))
    .. sub(l.tail, rest) .. attempt
end

-- Add to the history what no worker can report: an `Attempt` without replies, as msgpack.
local function note(l, text)
  remember(l, '\148\207'
    .. struct.pack('>I4I4', math.floor(now / 4294967296), now % 4294967296)
    .. '\217' .. string.char(#l.hop) .. l.hop .. '\144\217' .. string.char(#text) .. text)
end

-- The recipients of a message that no readable leg but this one has, as packed indices, how many
-- they are, and how many legs there are.
local function left_over(id, head)
  local m, number = sub(id, 1, 16), byte(id, 17) * 256 + byte(id, 18)
  local n, legs, taken, top = 0, number + 1, {}, -1
  while n < 65536 do
    local rec = n ~= number and call('HGET', leg_key(id), m .. struct.pack('>H', n))
    if n >= legs and not rec then break end
    local other = rec and decode(rec)
    if other then
      legs = math.max(legs, other.legs)
      for i = 3, #other.indices, 2 do
        local index = byte(other.indices, i) * 256 + byte(other.indices, i + 1)
        taken[index], top = true, math.max(top, index)
      end
    end
    n = n + 1
  end
  local people = type(head[6]) == 'table' and #head[6] or top + 2
  local left = {}
  for index = 0, people - 1 do
    if not taken[index] then left[#left + 1] = struct.pack('>H', index) end
  end
  if #left == 0 then left[1] = struct.pack('>H', top + 1) end
  return struct.pack('>H', #left) .. table.concat(left), #left, n
end

-- A record that is damaged gives way to a dead letter, so that somebody decides about it. What it
-- was is told by what is left of the message; `from` is the status that it was counted as, when
-- that is known. The highest fence keeps away whoever had it.
local function bury(id, c, hop, from)
  local fine, head = pcall(cmsgpack.unpack,
    sub(call('HGET', P .. 'head:' .. byte(id, 16), sub(id, 1, 16)) or '', 2))
  if not fine or type(head) ~= 'table' then head = {} end
  for class, name in pairs(CLASS) do
    if not c and name == head[2] then c = class end
  end
  local l = { state = FINAL, c = c or '1', crashes = 0, fence = 2147483648, attempts = 0, due = 0,
    flags = head[12] == 'hold' and HOLD or 0, hop = hop or 'unknown', app = '', tail = '\144',
    give_up = tonumber(head[11]) or 0 }
  if not is_time(l.give_up) then l.give_up = 0 end
  l.class = tonumber(l.c)
  local count
  l.indices, count, l.legs = left_over(id, head)
  l.statuses = string.rep('l', count)
  for _, letter in ipairs({ 'q', 'f', 's' }) do
    local counted = tonumber(call('HGET', P .. 'counters', 's:' .. l.c .. ':' .. letter) or '0')
    if not from and counted >= count then from = letter end
  end
  bump('s:' .. l.c .. ':' .. (from or 'q'), -count)
  bump('s:' .. l.c .. ':l', count)
  note(l, 'unreadable')
  place(id, l, 0)
  save_leg(id, l)
  event('dead', id, '')
end

-- trouble HASH: hop -> until ms, strikes, since ms, the leg that probes (or zeros), the reason.
local NOBODY = string.rep('\0', 18)
local function trouble_of(hop)
  local found = call('HGET', P .. 'trouble', hop)
  if not found then return nil end
  local till, strikes, since = struct.unpack('>dBd', found)
  return { till = till, strikes = strikes, since = since, probe = sub(found, 18, 35),
    reason = sub(found, 36) }
end
local function save_trouble(hop, t)
  call('HSET', P .. 'trouble', hop,
    struct.pack('>dBd', t.till, t.strikes, t.since) .. t.probe .. t.reason)
end

-- recovering HASH: hop -> since ms, '|', strikes before. A hop that was in trouble gets little at
-- first, twice as much each second; when it is in trouble again soon, its strikes go on.
local RAMP_FIRST, RAMP_MS, REMEMBERED_MS = 10, 8000, 60000
local function recovery_of(hop)
  local text = call('HGET', P .. 'recovering', hop)
  if not text then return nil end
  local since, strikes = string.match(text, '^(%d+)|(%d+)$')
  since = tonumber(since)
  if now - since > REMEMBERED_MS or now < since then
    call('HDEL', P .. 'recovering', hop)
    return nil
  end
  return since, tonumber(strikes)
end

-- A hop of direct delivery. Sites come and go, as recipients' domains do.
local function is_site(hop) return sub(hop, 1, 3) == 'mx:' end

-- The end of a suspension, from its text in `suspended`: 0 is none; nil when it is over, or no text.
local function suspended_till(text)
  local till = text and tonumber(string.match(text, '^%d+'))
  return (till == 0 or till and till > now) and till or nil
end

-- Until when a hop stands still: by an operator (asked again within the hour when that has no
-- end), or because it is in trouble and somebody probes it or nobody should yet. Else 0; then the
-- second value is its trouble, when it is to be probed.
local function still_until(hop)
  local text = call('HGET', P .. 'suspended', hop)
  if text then
    local till = suspended_till(text)
    if till then return till == 0 and now + 3600000 or till end
    call('HDEL', P .. 'suspended', hop)
  end
  local t = trouble_of(hop)
  if not t then return 0 end
  if t.till > now then return t.till end
  local l = t.probe ~= NOBODY and load_leg(t.probe)
  if l and l.state == LEASED then return now + 1000 end
  return 0, t
end

-- Queues whose time has come go to the ring's tail; how many. Where several hops share a limit, the
-- one whose last permit is the longest ago is before the others.
local function wake_due(c, most)
  local set = P .. 'wake:' .. c
  local hops = call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, most)
  if #hops > 1 and call('HLEN', P .. 'turns') > 0 then
    local fields, place = {}, {}
    for i = 1, #hops do fields[i] = c .. hop_and_app(hops[i]) end
    for i, at in ipairs(call('HMGET', P .. 'turns', unpack(fields))) do
      place[hops[i]] = { tonumber(at or '0'), i }
    end
    table.sort(hops, function(a, b)
      local x, y = place[a], place[b]
      if x[1] == y[1] then return x[2] < y[2] end
      return x[1] < y[1]
    end)
  end
  for i = 1, #hops do
    call('ZREM', set, hops[i])
    call('RPUSH', P .. 'ring:' .. c, hops[i])
  end
  return #hops
end

-- A hop that waits for a time goes to the ring's tail, in every class; with `till` it goes on waiting
-- until then. What is in the ring is put aside by the next claim.
local function to_ring(hop, till)
  for c in pairs(CLASS) do
    local queues = call('ZRANGE', P .. 'apps:' .. c .. ':' .. hop, 0, -1)
    for i = 0, #queues do
      local queue = queue_at(hop, queues[i] or '')
      if till then
        call('ZADD', P .. 'wake:' .. c, 'XX', till, queue)
      elseif call('ZREM', P .. 'wake:' .. c, queue) == 1 then
        call('RPUSH', P .. 'ring:' .. c, queue)
        touched[c] = true
      end
    end
  end
end

-- A hop stands still no longer: it goes to the ring, and so do the pools that it is a member of.
local function stir(hop)
  to_ring(hop)
  local pools = call('HGETALL', P .. 'pools')
  for i = 1, #pools, 2 do
    if string.find(pools[i + 1], ' ' .. hop .. '=', 1, true) then to_ring(pools[i]) end
  end
end

-- Legs under lease that a key of a limit has, of all classes and sources.
local function in_flight(key)
  return tonumber(call('HGET', P .. 'flying', key) or '0') + (aloft[key] or 0)
end

-- Legs of a hop have ended: as many hops may try again that its limits of concurrency kept back, the
-- first ones first.
local function unblock(hop, ended)
  for _, key in ipairs({ limit_keys(hop) }) do
    local kept_back = call('ZPOPMIN', P .. 'blocked:' .. key, ended)
    for i = 1, #kept_back, 2 do to_ring(kept_back[i]) end
  end
end

-- Tickets: enough for the ready mail, no more than the workers can use, none for mail that may
-- not go. What is queued in Dramatiq counts too, so that none pile up while no worker runs.
local function top_up(c)
  if call('LLEN', P .. 'ring:' .. c) == 0 then return 0 end
  local ready = tonumber(call('HGET', P .. 'counters', 'r:' .. c) or '0')
  local live = math.max(1, tonumber(call('GET', P .. 'live') or '1'))
  local want = math.min(math.ceil(math.max(ready, 1) / tonumber(ARGV[3])), 2 * live)
  local tickets, queue = P .. 'tickets:' .. c, 'dramatiq:' .. CLASS[c]
  call('ZREMRANGEBYSCORE', tickets, '-inf', now)
  local have = math.max(call('ZCARD', tickets), call('LLEN', queue))
  local minted = want - have
  if minted <= 0 then return 0 end
  local last = call('HINCRBY', P .. 'counters', 'tickets_minted', minted)
  for i = last - minted + 1, last do
    local id = 't' .. c .. '-' .. i
    local text = string.gsub(string.gsub(ARGV[2], '@ID@', id), '@CLASS@', CLASS[c])
    call('HSET', queue .. '.msgs', id, text)
    call('RPUSH', queue, id)
    call('ZADD', tickets, now + 5000, id)
  end
  call('PUBLISH', P .. 'wake', CLASS[c])
  return minted
end

-- Where a quota's window that is now (minute, day or month, in UTC) is counted, and when it ends.
local function quota_now(window)
  local width = window == 'minute' and 60000 or 86400000
  local start = now - now % width
  local ends = start + width
  if window == 'month' then
    local day, first, year = start / width, 0, 1970
    local function leap() return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end
    while day >= first + (leap() and 366 or 365) do
      first, year = first + (leap() and 366 or 365), year + 1
    end
    local months = { 31, leap() and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
    local month = 1
    while day >= first + months[month] do first, month = first + months[month], month + 1 end
    start, ends = first * width, (first + months[month]) * width
  end
  return P .. 'quota:' .. window .. ':' .. string.format('%d', start), ends
end

-- Whether any queue waits for a time.
local function some_wait()
  return call('EXISTS', P .. 'wake:0', P .. 'wake:1', P .. 'wake:2') > 0
end

-- New fields beyond the most are counted together, without a name: API keys bound applications, and
-- files bound providers, but nothing else does.
local MOST_OUTCOMES, DAY_MS = 20000, 86400000
local function write_outcomes(key, lasts)
  for field, by in pairs(outcomes) do
    if call('HINCRBY', key, field, by) == by then
      if call('HLEN', key) > MOST_OUTCOMES then
        call('HDEL', key, field)
        call('HINCRBY', key, string.gsub(field, '^(%d)|.*(|[^|]*)$', '%1||other%2'), by)
      end
      if lasts then call('PEXPIRE', key, lasts) end
    end
  end
end

-- The end of every script that changes something: write the numbers, then the tickets.
local function commit()
  if next(outcomes) then
    local day = math.floor(now / DAY_MS)
    write_outcomes(P .. 'outcomes')
    write_outcomes(P .. 'outcomes:' .. day, (day + 36) * DAY_MS - now)
  end
  for field, by in pairs(counts) do
    if by ~= 0 then call('HINCRBY', P .. 'counters', field, by) end
  end
  for place, by in pairs(flights) do
    if by ~= 0 and call('HINCRBY', P .. 'inflight', place, by) <= 0 then
      call('HDEL', P .. 'inflight', place)
    end
  end
  for whose, by in pairs(aloft) do
    if by ~= 0 and call('HINCRBY', P .. 'flying', whose, by) <= 0 then
      call('HDEL', P .. 'flying', whose)
    end
  end
  if next(flights) and some_wait() then
    for place, by in pairs(flights) do
      if by < 0 then unblock(sub(place, 2), -by) end
    end
  end
  for place, by in pairs(waits) do
    if by ~= 0 and call('HINCRBY', P .. 'waiting', place, by) <= 0 then
      call('HDEL', P .. 'waiting', place)
    end
  end
  for place, by in pairs(rates) do
    local minute = math.floor(now / 60000)
    if call('HINCRBY', P .. 'rate:' .. minute, place, by) == by then
      call('HSET', P .. 'began:' .. minute, place, now)
      call('PEXPIRE', P .. 'rate:' .. minute, 180000)
      call('PEXPIRE', P .. 'began:' .. minute, 180000)
    end
  end
  local minted = 0
  for c in pairs(touched) do minted = minted + top_up(c) end
  return minted
end
