#!lua flags=allow-oom
-- claim: lease legs of one class, a quantum from each queue of the ring in turn.
-- KEYS[1] prefix. Reads and writes ring:<c> wake:<c> ready:<c>:<queue> leg:<b> leases:<c>
--   inflight flying gcra used:<window>:<key> blocked:<key> awaited:<key> served:<pool> counters
--   outcomes[:<day>] tickets:<c> deferred:<c> trouble recovering suspended finished events turns apps:<c>:<hop> urgent:<hop>; reads head:<b> body:<b> shaping
--   pools weights; in parts/shares.lua shares:<c>
-- ARGV[4] class, [5] most legs, [6] lease ms, [7] largest content given inline, [8] content bytes
--   after which the claim ends, [9]... tickets answered.
-- Returns {more, alone, damaged legs, legs of a newer release, ms until the next hop that waits for
-- its time, or -1, id, record, head or nil, content or nil, ...}.

local c = ARGV[4]
local limit, quantum = tonumber(ARGV[5]), tonumber(ARGV[3])
local lease = tonumber(ARGV[6])
local inline, most = tonumber(ARGV[7]), tonumber(ARGV[8])
local ring = P .. 'ring:' .. c
for i = 9, #ARGV do call('ZREM', P .. 'tickets:' .. c, ARGV[i]) end

-- Whether hops need a closer look; without any, nobody is in `apps` either.
local limited, pauses, recovering, weighted = false, false, false, false
local shares, noted = P .. 'shares:' .. c, nil  -- What parts/shares.lua begins with.
local special = call('EXISTS', shares, P .. 'shaping', P .. 'suspended', P .. 'trouble',
  P .. 'recovering', P .. 'weights')
if special > 0 then noted = call('HGET', shares, '') end
local careful = special > (noted and 1 or 0)
if careful then
  limited, recovering = call('EXISTS', P .. 'shaping') > 0, call('EXISTS', P .. 'recovering') > 0
  pauses = call('EXISTS', P .. 'suspended', P .. 'trouble') > 0
  weighted = call('EXISTS', P .. 'weights') > 0
end
local BEFORE_ALL = 2 ^ 42  -- In ms: who waits for a leg to end so long is before everybody else.
local YIELD_MS = 20  -- How soon the other classes look again after class critical.
local out, got, bytes, alone, over, expired = { 0, 0, 0, 0, -1 }, 0, 0, 0, false, 0
local visited, home, app  -- The queue that has its turn, its hop and its application.
local serving  -- The queue that legs are taken from.
local via  -- The member that takes its legs, where it is a pool.

-- One that cannot be read is left to the pump, which looks again in a minute where a newer release
-- has written it, and buries it at once where it is damaged.
local function lay_aside(id, rec)
  local newer = is_newer(rec)
  if not newer then bump('r:' .. c, -1) end
  defer(id, { c = c, hop = home, app = app, due = newer and now + 60000 or now })
  local at = newer and 4 or 3
  out[at] = out[at] + 1
end

-- The members of a pool in the order in which they are asked, or the hop itself; and for a weighted
-- pool what notes that one of them was given legs. Of an ordered pool the first that does not stand
-- still gets them. Of a weighted one first who has been given the least for its weight, counted so
-- that one that was away does not catch up (start-time fair queueing).
local function takers(hop)
  local text = sub(hop, 1, 5) == 'pool:' and call('HGET', P .. 'pools', hop)
  if not text then return { hop } end
  local members, weights, kind = {}, {}, string.match(text, '^%S+')
  for member, weight in string.gmatch(text, '(%S+)=(%d+)') do
    members[#members + 1], weights[member] = member, tonumber(weight)
  end
  if kind ~= 'weighted' then return members end
  local key, start = P .. 'served:' .. hop, {}
  local time = tonumber(call('HGET', key, '') or '0')
  for i, ends in ipairs(call('HMGET', key, unpack(members))) do
    start[members[i]] = math.max(time, tonumber(ends or '0'))
  end
  table.sort(members, function(a, b)
    if start[a] == start[b] then return a < b end
    return start[a] < start[b]
  end)
  return members, function(member, taken)
    call('HSET', key, member, string.format('%.17g', start[member] + taken / weights[member]),
      '', string.format('%.17g', start[member]))
  end
end

-- Lease one leg that the queue named; nothing happens when the leg is no longer ready.
-- Returns false when the leg must go back because it has to be claimed alone.
local function take(id)
  local key = leg_key(id)
  local rec = call('HGET', key, id)
  if not rec then return true end
  if not parts_of(rec) then
    lay_aside(id, rec)
    return true
  end
  local _, state, class, crashes, flags, fence, attempts, legs, due, give_up =
    struct.unpack(FIXED, rec)
  if not is_time(due) or not is_time(give_up) then
    lay_aside(id, rec)
    return true
  end
  -- Its place has the queue's name, unless it was moved while its id stood here for nothing.
  if state ~= READY or byte(rec, 30) ~= #serving or string.find(rec, serving, 31, true) ~= 31 then
    return true
  end
  if give_up > 0 and give_up <= now then
    expire(id, decode(rec))
    expired = expired + 1
    over = over or expired >= 200
    return true
  end
  if crashes > 0 then
    if got > 0 then return false end
    alone, over = 1, true
  end
  -- Not started yet: if the answer to this claim is lost, nobody is to blame.
  flags = has(flags, HOLD) and HOLD or 0
  local rest = sub(rec, 30)
  if via then
    local hop = via .. '<' .. serving
    rest = string.char(#hop) .. hop .. sub(rec, 31 + byte(rec, 30))
  end
  rec = struct.pack(FIXED, 1, LEASED, class, crashes, flags, fence + 1, attempts, legs,
    now, give_up) .. rest
  call('HSET', key, id, rec)
  call('ZADD', P .. 'leases:' .. c, now + lease, id)
  local m, b = sub(id, 1, 16), byte(id, 16)
  local size = call('HSTRLEN', P .. 'body:' .. b, m)
  local body = false
  if size <= inline then
    body = call('HGET', P .. 'body:' .. b, m)
    bytes = bytes + size
    if bytes >= most then over = true end
  end
  local at = #out
  out[at + 1], out[at + 2], out[at + 3], out[at + 4] =
    id, rec, call('HGET', P .. 'head:' .. b, m), body
  got = got + 1
  return true
end

-- Take up to `room` legs of one queue. Returns how many, and whether one must be claimed alone.
local function take_from(list, room)
  local before = got
  while got - before < room and not over do
    local ids = call('LPOP', list, room - (got - before))
    if not ids then break end
    for i = 1, #ids do
      local fits = not over and take(ids[i])
      if not fits then
        for j = #ids, i, -1 do call('LPUSH', list, ids[j]) end
        return got - before, not over
      end
    end
  end
  return got - before, false
end

local emptied, enrolled = {}, {}

-- What only hops need that stand still, are limited or are shared by weight: made where there are
-- any, because each function costs every claim half a microsecond.
local function looking_closer()
  -- include limits
  -- include windows
  -- include awaited

  -- GCRA: how many legs may go now, and a closure that books what was taken and gives the time of the
  -- next permit when they are used up: that of half a burst, so that a high rate is not claimed leg by
  -- leg.
  local function evenly(key, interval, burst)
    local tat = math.max(now, tonumber(call('HGET', P .. 'gcra', key) or '0'))
    if tat > now + burst * interval then  -- A lower rate has left it further ahead than this one does.
      tat = now + burst * interval
      call('HSET', P .. 'gcra', key, string.format('%.17g', tat))
    end
    local allowed = math.max(0, math.floor((now - tat) / interval + burst + 1e-6))
    return allowed, function(taken)
      local after = tat + taken * interval
      if taken > 0 then call('HSET', P .. 'gcra', key, string.format('%.17g', after)) end
      if taken < allowed then return nil end
      local some = math.max(1, math.floor(burst / 2))
      return math.max(now + 1, math.ceil(after - (burst - some) * interval - 1e-6))
    end
  end

  -- The same of a window; the next permits come when its first part no longer counts.
  local function of_window(key, window, most)
    local used, part, width, at = used_of(key, window)
    local allowed = most
    for _, count in pairs(used) do allowed = allowed - count end
    allowed = math.max(0, allowed)
    return allowed, function(taken)
      if taken > 0 then
        call('HINCRBY', at, part, taken)
        call('PEXPIRE', at, 62 * width)
        used[part] = (used[part] or 0) + taken
      end
      if taken < allowed then return nil end
      return math.ceil(((first_of(used) or part) + 61) * width)
    end
  end

  -- Whether class critical has mail that waits for permits at all.
  local urgent
  local function is_critical_waiting()
    if urgent == nil then urgent = call('EXISTS', P .. 'ring:0', P .. 'wake:0') > 0 end
    return urgent
  end

  -- What one limit leaves of `room`: how many legs may go now; when that is less, the time of the next
  -- permit, unless one of `books` tells.
  local function permits(key, limit, room, books)
    local wake
    if limit.concurrency > 0 then
      local free = limit.concurrency - in_flight(key)
      if free < room then
        room, wake = math.max(0, free), now + 1000
        if c == '0' then  -- It is before all others.
          call('ZADD', P .. 'blocked:' .. key, 'LT', now - BEFORE_ALL, home)
        else
          call('ZADD', P .. 'blocked:' .. key, 'NX', now, home)
        end
        call('PEXPIRE', P .. 'blocked:' .. key, 60000)  -- Who still waits asks again before that.
      end
    end
    local function booked(allowed, book)
      if allowed < room then room, wake = allowed, nil end
      books[#books + 1] = book
    end
    if limit.interval > 0 then booked(evenly(key, limit.interval, limit.burst)) end
    for window in pairs(WINDOWS) do
      if limit[window] > 0 then booked(of_window(key, window, limit[window])) end
    end
    return room, wake
  end

  -- By the limits of a hop: how many legs may go now; when it is short, the time of the next permit;
  -- whether there are few permits; a closure that books what was taken. Permits that class critical
  -- waits for are its own.
  local function permitted(hop, room)
    local wanted, wake, books, bound, changes, theirs = room, nil, {}, false, math.huge, false
    local whose, route = limit_keys(hop)
    for _, key in ipairs({ whose, route }) do
      local limit = limit_of(key)
      if limit then
        bound = bound or limit.concurrency > 0 or limit.interval > 0 or limit.minute > 0
          or limit.hour > 0 or limit.day > 0
        changes = math.min(changes, limit.changes or math.huge)
        local left, later = permits(key, limit, room, books)
        if c == '0' then
          await(key, left < room)
        else
          theirs = theirs or is_critical_waiting() and is_awaited(key)
        end
        if left < room then room, wake = left, later end
      end
    end
    if not bound then return wanted end
    if theirs or c ~= '0' and is_critical_waiting()
      and (asks_at(hop) or home ~= hop and asks_at(home)) then
      return 0, now + YIELD_MS, true
    end
    if #books == 0 then return room, wake, room < wanted end
    return room, wake, true, function(taken)
      local last
      for i = 1, #books do
        local at = books[i](taken)
        if at then last = math.max(last or 0, at) end
      end
      return last and math.max(now + 1, math.min(last, changes))  -- Another limit, other permits.
    end
  end

  -- It waits for something else.
  local function await_nothing(hop)
    for _, key in ipairs({ limit_keys(hop) }) do await(key, false) end
  end

  -- A hop that comes back from trouble gets little at first: how many legs it may have more.
  local function ramped(hop, room)
    local since = recovery_of(hop)
    if not since or now - since > RAMP_MS then return room end
    local most = RAMP_FIRST * 2 ^ math.floor((now - since) / 1000)
    return math.max(0, math.min(room, most - in_flight(shared_part(hop))))
  end

  -- What a hop may take now: how many legs; when it is short, until when; whether it stands still;
  -- its trouble, when this is a probe; what books the permits that were used; and whether it is a
  -- hop that does not take whatever comes.
  local function opening(hop, room)
    local wake, trouble, book, scarce
    if pauses then
      local till
      till, trouble = still_until(hop)
      if till > 0 then
        if c == '0' then await_nothing(hop) end
        return 0, till, true
      end
      if trouble then room, wake, scarce = 1, now + 1000, true end
    end
    if recovering and not trouble then
      local most = ramped(hop, room)
      if most < room then room, wake, scarce = most, now + 250, true end
      if room == 0 and c == '0' then await_nothing(hop) end
    end
    if limited and room > 0 then
      local later, few
      room, later, few, book = permitted(hop, room)
      wake, scarce = wake or later, scarce or few
    end
    return room, wake, trouble ~= nil, trouble, book, scarce
  end

  local function apps_key() return P .. 'apps:' .. c .. ':' .. home end

  local known = {}
  local function weight_of(name)
    if not weighted then return 1 end
    known[name] = known[name] or tonumber(call('HGET', P .. 'weights', name) or '1')
    return known[name]
  end

  local function turn_ends(name, at) call('ZADD', apps_key(), string.format('%.17g', at), name) end

  -- Note an application among those that share the hop: behind whoever is next, by half of what one
  -- leg is, so that one that comes and goes is not always the first.
  local function enrol()
    if enrolled[visited] then return end
    enrolled[visited] = true
    if call('ZSCORE', apps_key(), app) then return end
    local first = call('ZRANGE', apps_key(), 0, 0, 'WITHSCORES')
    turn_ends(app, tonumber(first[2] or '0') + 0.5 / weight_of(app))
  end

  -- Who has been given the least for its weight is first, whosever turn it was in the ring
  -- (self-clocked fair queueing). Returns what `take_from` does.
  local function share_out(room, newest)
    local taken, key = 0, apps_key()
    enrol()
    local ranks = call('ZRANGE', key, 0, 1, 'WITHSCORES')
    while ranks[1] and taken < room and not over do
      local name, at, share = ranks[1], tonumber(ranks[2]), room - taken
      if ranks[3] then
        local ahead = (tonumber(ranks[4]) - at) * weight_of(name)
        share = math.min(share, math.max(1, math.floor(ahead)))
      end
      serving = queue_at(home, name)
      local list = P .. 'ready:' .. c .. ':' .. serving
      if newest then call('RPOPLPUSH', list, list) end
      local n, apart = take_from(list, share)
      taken = taken + n
      if n > 0 and ranks[3] then turn_ends(name, at + n / weight_of(name)) end
      if apart then return taken, true end
      if call('LLEN', list) == 0 then
        call('ZREM', key, name)
        if serving ~= visited and call('ZREM', P .. 'wake:' .. c, serving) == 0 then
          emptied[serving] = true
        end
      end
      if taken < room then ranks = call('ZRANGE', key, 0, 1, 'WITHSCORES') end
    end
    return taken, false
  end

  -- Take from the queues of all applications that share the hop, or from the only one. Every other
  -- probe is the newest: what the hop objects to may stand at the head in numbers.
  local function take_turns(list, room, newest)
    local ranks = call('ZRANGE', apps_key(), 0, 1)
    local alone_there = ranks[1] == app and not ranks[2]
    if not alone_there and (ranks[1] or weighted) then return share_out(room, newest) end
    enrolled[visited], serving = alone_there, visited
    if newest then call('RPOPLPUSH', list, list) end
    return take_from(list, room)
  end

  return opening, take_turns, enrol
end
local opening, take_turns, enrol
if careful then opening, take_turns, enrol = looking_closer() end

-- How many legs a turn is: of many queues each gets some in one claim.
local turn

-- Let one hop take what it may of a queue. Returns how many it took, whether a leg must be claimed
-- alone, until when it can take no more (nil: it can), and whether it stands still.
local function visit(hop, list)
  local room, wake, still, trouble, book, scarce = math.min(turn, limit - got)
  if careful then room, wake, still, trouble, book, scarce = opening(hop, room) end
  local taken, apart = 0, false
  if room > 0 and (scarce or weighted) then
    taken, apart = take_turns(list, room, trouble and trouble.strikes % 2 == 0)
  elseif room > 0 then
    serving = visited
    taken, apart = take_from(list, room)
  end
  local permit = book and book(taken)
  if taken < room then wake = nil end
  if taken > 0 then fly(c, hop, taken) end
  if taken > 0 and book then call('HSET', P .. 'turns', c .. home, now) end
  if trouble and taken > 0 then
    trouble.probe = out[#out - 3]
    save_trouble(hop, trouble)
  end
  if wake or permit then wake = math.max(wake or 0, permit or 0) end
  return taken, apart, wake, still
end

-- The same for a queue: by its hop, or where it is a pool's by the first of its members that may.
local function serve(list)
  local members, note = takers(home)
  if pauses and members[1] ~= home and suspended_till(call('HGET', P .. 'suspended', home)) then
    members, note = { home }, nil
  end
  local soonest, all_still = nil, true
  for i = 1, #members do
    via = members[i] ~= home and members[i] or nil
    local taken, apart, wake, still = visit(members[i], list)
    if taken > 0 and note then note(members[i], taken) end
    if apart then return true end
    if not wake or (taken > 0 and note and i < #members) then return false end  -- It can go on.
    soonest, all_still = math.min(soonest or wake, wake), all_still and still
    if not still and not note then break end
  end
  return false, soonest, all_still
end

wake_due(c, 100)
local shut = {}  -- Hop -> until when it takes no more: its other queues need not ask.
local turns = call('LLEN', ring)
turn = math.min(quantum, math.max(1, math.ceil(limit / math.min(math.max(turns, 1), 10))))
local counted, turn_of, keep_turns  -- Where destinations are unlike each other, and mail has to wait.
if turns > 1 and noted then
  -- include shares
end
local rest, before_round = 0, 0  -- Legs left of the last turn; of this claim before the round.
local MOST_VAIN, vain = 200, 0  -- Queues that give nothing: some 10 ms. The next claim goes on.
while turns > 0 and got < limit and not over and vain < MOST_VAIN do
  turns = turns - 1
  visited, via = call('LPOP', ring), nil
  home, app = hop_and_app(visited)
  emptied[visited] = nil
  local list = P .. 'ready:' .. c .. ':' .. visited
  local apart, wake, still, before = false, shut[home], true, got
  if turn_of and not wake then
    turn = turn_of()
    if turns == 0 and got == 0 then turn = math.max(1, turn) end
  end
  if not wake and turn > 0 then
    apart, wake, still = serve(list)
    shut[home] = wake
  end
  over = over or apart
  if got == before and (wake or turn > 0) then vain = vain + 1 end
  if call('LLEN', list) > 0 then
    if apart then
      call('LPUSH', ring, visited)
    elseif wake then
      call('ZADD', P .. 'wake:' .. c, wake, visited)
      enrol()
      if not still then bump('permits_refused', 1) end
    elseif turn_of and (got >= limit or over) and got - before < turn then
      rest = turn - (got - before)
      call('LPUSH', ring, visited)
    else
      call('RPUSH', ring, visited)
    end
  else
    if careful then call('ZREM', P .. 'apps:' .. c .. ':' .. home, app) end
    if c == '0' then call('SREM', P .. 'urgent:' .. home, app) end
    if limited and call('EXISTS', P .. 'apps:' .. c .. ':' .. home) == 0 then call('HDEL', P .. 'turns', c .. home) end
  end
  -- Turns may be short: one round more, as long as there is something to take.
  if turns == 0 and turn_of and got > before_round then turns, before_round = call('LLEN', ring), got end
end
if keep_turns then keep_turns(rest) end
for queue in pairs(emptied) do call('LREM', ring, 1, queue) end
bump('r:' .. c, -got)
commit()
local waiting = call('LLEN', ring)
out[1] = waiting > 0 and 1 or 0
if waiting > 1 and got >= limit
  and (not counted or now < counted or now - counted >= math.max(100, waiting)) then
  -- include count
end
local soonest = call('ZRANGE', P .. 'wake:' .. c, 0, 0, 'WITHSCORES')
if soonest[2] then out[5] = math.max(1, math.ceil(tonumber(soonest[2]) - now)) end
out[2] = alone
return out
