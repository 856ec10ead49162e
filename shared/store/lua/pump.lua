#!lua flags=allow-oom
-- pump: the one backward arrow, deferred -> ready; also reaps leases, mints tickets, forgets.
-- KEYS[1] prefix. Reads and writes workers live pump deferred:<c> leases:<c> leg:<b> head:<b>
--   body:<b> ready:<c>:<queue> ring:<c> wake:<c> waiting[:<c>:<hop>] held dead finished events
--   counters inflight expiry outcomes[:<day>] tickets:<c> dramatiq:<class>[.msgs]; reads early:<hour>
--   events:acknowledged suspended trouble pools apps:<c>:<hop>; removes trouble recovering shaping
--   gcra turns; corrects flying; removes from suppressed suppressed:<n>; trims recent, counted in
--   recent:trimmed; appends to samples
-- ARGV[4] worker id, [5] lease ms, [6] crashes that make a dead letter, [7] retention ms,
--   [8] finished messages kept, [9] events kept, [10] most legs moved and reaped in this run,
--   [11] recent messages kept.
-- Returns {due, reaped, crashed, dead, tickets, events trimmed, forgotten, paused, more}.

local lease, max_crashes = tonumber(ARGV[5]), tonumber(ARGV[6])
local most = tonumber(ARGV[10])
local due, reaped, crashed, dead, trimmed, forgotten, more = 0, 0, 0, 0, 0, 0, 0

call('ZADD', P .. 'workers', now, ARGV[4])
call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', '(' .. (now - 3000))
call('SET', P .. 'live', call('ZCARD', P .. 'workers'))

-- A gap between runs means that the server stalled, restarted, or had no worker: whoever holds
-- a lease could not renew it meanwhile, so nobody's lease is reaped for one lease time.
local last = call('HMGET', P .. 'pump', 'last', 'reap_after', 'sampled')
local reap_after = tonumber(last[2] or '0')
if not last[1] or now - tonumber(last[1]) > 1000 or now < tonumber(last[1]) then
  reap_after = now + lease
end
local minute = string.format('%d', math.floor(now / 60000))
local samples_now = last[3] ~= minute
call('HSET', P .. 'pump', 'last', now, 'reap_after', reap_after, 'sampled', minute)

-- The hop of a deferred leg that cannot tell it any more.
local function forget_waiting(c, id)
  local places = call('HKEYS', P .. 'waiting')
  for i = 1, #places do
    local hop = sub(places[i], 2)
    if sub(places[i], 1, 1) == c and call('ZREM', P .. 'waiting:' .. c .. ':' .. hop, id) == 1 then
      waits[c .. hop] = (waits[c .. hop] or 0) - 1
      return hop
    end
  end
end

local function move_due(c)
  local set = P .. 'deferred:' .. c
  local ids = call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, most - due)
  for i = 1, #ids do
    local id = ids[i]
    local rec = call('HGET', leg_key(id), id)
    local l = rec and decode(rec)
    if rec and not l and is_newer(rec) then
      call('ZADD', set, now + 60000, id)  -- Look again in a minute.
    else
      if l then undefer(id, l) else call('ZREM', set, id) end
      if rec and not l then
        bury(id, c, forget_waiting(c, id))
      elseif l and l.state == READY then  -- A claim could not read it, and it was mended since.
        push_ready(id, l)
        bump('r:' .. l.c, -1)
      elseif l and l.state == WAITING then
        restate(l, (string.gsub(l.statuses, 's', 'q')), OPEN)
        l.state, l.due = READY, 0
        save_leg(id, l)
        push_ready(id, l)
        due = due + 1
      end
    end
  end
  if due >= most then more = 1 end
end

-- include early
local function end_crashed(id, l)
  crashed = crashed + 1
  l.crashes = math.min(255, l.crashes + 1)
  bump('crashes', 1)
  event('crashed', id, '')
  if has(l.flags, DOT) and has(l.flags, HOLD) then
    restate(l, all_open_to(l, 'u'), OPEN)
  elseif l.crashes >= max_crashes then
    note(l, 'poison')
    restate(l, all_open_to(l, 'l'), OPEN)
    event('dead', id, '')
    dead = dead + 1
  else
    note(l, 'worker ended')
  end
end

local function reap(c)
  local set = P .. 'leases:' .. c
  local ids = call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, most - reaped)
  for i = 1, #ids do
    local id = ids[i]
    local rec = call('HGET', leg_key(id), id)
    local l = rec and decode(rec)
    if rec and not l and is_newer(rec) then
      call('ZADD', set, now + 5000, id)  -- The pump of a newer release will.
    elseif rec and not l then
      call('ZREM', set, id)
      bury(id, c)
    elseif l and l.state == LEASED then
      reaped = reaped + 1
      withdraw(id, l)
      heed(l)
      if has(l.flags, STARTED) and has_open(l) then end_crashed(id, l) end
      catch_up(id, l, false)
      l.flags = without(without(without(l.flags, STARTED), DOT), LATE)
      if has_open(l) then
        l.state, l.due = READY, 0
        push_ready(id, l)
      else
        place(id, l, 0)
      end
      save_leg(id, l)
    else
      call('ZREM', set, id)
    end
  end
  if reaped >= most then more = 1 end
end

-- `deliver_by` holds wherever a leg stands, on a hop that is suspended too.
local function expire_due()
  local ids = call('ZRANGEBYSCORE', P .. 'expiry', '-inf', now, 'LIMIT', 0, most)
  for i = 1, #ids do
    local id = ids[i]
    local rec = call('HGET', leg_key(id), id)
    local l = rec and decode(rec)
    if rec and not l and is_newer(rec) then
      call('ZADD', P .. 'expiry', now + 60000, id)
    elseif not l or not has_open(l) then
      call('ZREM', P .. 'expiry', id)
    elseif l.give_up > now then
      call('ZADD', P .. 'expiry', l.give_up, id)
    elseif l.state == READY or l.state == WAITING then
      call('ZREM', P .. 'expiry', id)
      expire(id, l)
    else
      call('ZADD', P .. 'expiry', now + 1000, id)  -- A worker has it: it will be settled soon.
    end
  end
  if #ids >= most then more = 1 end
end

-- What has had its time is at the head of a queue.
local function expire_head(c, hop, app)
  local queue = queue_at(hop, app)
  local list, popped = P .. 'ready:' .. c .. ':' .. queue, false
  for _ = 1, 100 do
    local id = call('LINDEX', list, 0)
    if not id then break end
    local rec = call('HGET', leg_key(id), id)
    local l = rec and decode(rec)
    local gone = not l or l.state ~= READY
    if rec and not l and is_newer(rec) then break end
    if not gone and (l.give_up == 0 or l.give_up > now) then break end
    call('LPOP', list)
    popped = true
    if rec and not l then
      bump('r:' .. c, -1)
      bury(id, c, hop)
    end
    if not gone then expire(id, l) end
  end
  if popped and call('LLEN', list) == 0 then
    call('ZREM', P .. 'wake:' .. c, queue)
    call('LREM', P .. 'ring:' .. c, 0, queue)
    call('ZREM', P .. 'apps:' .. c .. ':' .. hop, app)
    if c == '0' then call('SREM', P .. 'urgent:' .. hop, app) end
  end
end

-- On a hop that stands still, or a pool all of whose members do, nobody claims. Of many
-- applications some have their turn in each run.
local function expire_still(hops)
  for i = 1, #hops do
    still_until(hops[i])  -- Removes a suspension whose time is over.
    for c in pairs(CLASS) do
      expire_head(c, hops[i], '')
      local apps = call('ZRANDMEMBER', P .. 'apps:' .. c .. ':' .. hops[i], 20)
      for j = 1, #apps do
        if apps[j] ~= '' then expire_head(c, hops[i], apps[j]) end
      end
    end
  end
end

-- Of a site that was in trouble and has no mail nothing is remembered.
local function forget_sites(hops)
  for i = 1, #hops do
    local mail = 0
    for c in pairs(CLASS) do
      mail = mail + call('LLEN', P .. 'ready:' .. c .. ':' .. hops[i])
        + call('ZCARD', P .. 'apps:' .. c .. ':' .. hops[i])
    end
    if mail == 0 and is_site(hops[i]) and still_until(hops[i]) == 0 then
      call('HDEL', P .. 'trouble', hops[i])
    end
  end
end

-- A ticket that is neither queued nor answered was lost on the way: it no longer counts.
local function find_lost_tickets(c)
  local set, queue = P .. 'tickets:' .. c, 'dramatiq:' .. CLASS[c]
  local ids = call('ZRANGE', set, 0, -1)
  for i = 1, #ids do
    if not call('LPOS', queue, ids[i]) then call('ZREM', set, ids[i]) end
  end
end

local function forget()
  local oldest = now - tonumber(ARGV[7])
  local surplus = call('LLEN', P .. 'finished') - tonumber(ARGV[8])
  while forgotten < most do
    local entry = call('LINDEX', P .. 'finished', 0)
    if not entry then return end
    if surplus <= 0 and struct.unpack('>d', entry, 17) > oldest then return end
    call('LPOP', P .. 'finished')
    surplus = surplus - 1
    forgotten = forgotten + 1
    local m, b = sub(entry, 1, 16), byte(entry, 16)
    local first = load_leg(m .. '\0\0')
    for number = 0, (first and first.legs or 1) - 1 do
      call('HDEL', P .. 'leg:' .. b, m .. struct.pack('>H', number))
    end
    call('HDEL', P .. 'head:' .. b, m)
  end
  more = 1
end

-- include limits
-- include sweep
-- include suppressions
-- include sweep_suppressed
-- include trim_recent
-- include oldest
-- include sample

for _, c in ipairs({ '0', '1', '2' }) do
  if due < most then move_due(c) end
  if now >= reap_after and reaped < most then reap(c) end
  if wake_due(c, most) >= most then more = 1 end
  find_lost_tickets(c)
  touched[c] = true
end
expire_due()
expire_still(call('HRANDFIELD', P .. 'suspended', 20))
local troubled = call('HRANDFIELD', P .. 'trouble', 20)
expire_still(troubled)
forget_sites(troubled)
for _, hop in ipairs(call('HRANDFIELD', P .. 'recovering', 20)) do recovery_of(hop) end
expire_still(call('HRANDFIELD', P .. 'pools', 20))
forget()
trim_recent(forgotten + 100, tonumber(ARGV[11]))
sweep()
sweep_suppressed()

-- Only what a recorder has acknowledged may go; without one the stream is capped, and the
-- counter says how much history was lost.
local acknowledged = call('GET', P .. 'events:acknowledged')
if acknowledged then
  call('XTRIM', P .. 'events', 'MINID', acknowledged)
elseif call('XLEN', P .. 'events') > tonumber(ARGV[9]) then
  trimmed = call('XTRIM', P .. 'events', 'MAXLEN', ARGV[9])
  bump('events_trimmed', trimmed)
end

local minted = commit()
recount()
if samples_now then take_sample() end
return { due, reaped, crashed, dead, minted, trimmed, forgotten,
  now < reap_after and 1 or 0, more }
